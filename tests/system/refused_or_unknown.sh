#!/usr/bin/env bash
# A put that certainly has not happened and one that may have are told apart by the exit status: 4
# while two of three are paused and nobody knows it yet, since they may have the put in their
# sockets; 3 once they are known to be away. What was answered with 3 never appears.
. "$(dirname "$0")/lib.sh"
start_cluster 3 --strict-quorum
put_keys 1 word 8
kill -STOP "${pid_of[2]}" "${pid_of[3]}"
for n in 0 1 2 3; do
    { ts 1 put "word/$n" changed >/dev/null 2>&1; echo $? >"$work/status$n"; } &
    asked[n]=$!
done
wait "${asked[@]}"

alone() { [ "$(ts 1 members --json | tr -d ' \n' | grep -o '"state":"dead"' | wc -l)" = 2 ]; }
wait_for 20 alone || die "the paused nodes are not found dead"
for n in 4 5 6 7; do
    message=$(ts 1 put "word/$n" changed 2>&1)
    echo $? >"$work/status$n"
    [ -n "$message" ] || fail "a put that failed says nothing"
done
statuses=$(cat "$work"/status[0-7] | tr -d '\n')
[[ $statuses =~ ^[34]{4} ]] && [[ ${statuses:0:4} == *4* ]] || fail "paused unnoticed: $statuses, and none is 4"
[ "${statuses:4}" = 3333 ] || fail "known to be away: $statuses, and not all are 3"

kill -CONT "${pid_of[2]}" "${pid_of[3]}"
writable() { ts 2 put word/again x; }
wait_for 30 writable || die "no puts after they came back"
for n in 0 1 2 3 4 5 6 7; do
    got=$(ts 3 get "word/$n") || fail "get word/$n: status $?"
    [ "$got" = "value of word/$n" ] ||
        { [ "$(cat "$work/status$n")" = 4 ] && [ "$got" = changed ]; } ||
        fail "word/$n was answered with $(cat "$work/status$n") and is '$got'"
done
