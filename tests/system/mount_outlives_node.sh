#!/usr/bin/env bash
# One of three nodes is killed, or paused, under two mounts at work: nothing fails, no command takes
# longer than 2 s, and what both mounts wrote is there, from either.
. "$(dirname "$0")/lib.sh"
start_cluster 3
start_mount a --seed "$(host 1)"
start_mount b --seed "$(host 3)"
head -c 2000000 /dev/urandom >"$work/big"

work_on() { # PREFIX SECONDS
    local end=$(($(now_ms) + $2 * 1000)) n=0 start took worst=0
    while [ "$(now_ms)" -lt $end ]; do
        start=$(now_ms)
        echo "$1 $n" >"$work/a/$1$n" || fail "$1: echo $n"
        [ "$(cat "$work/b/$1$n")" = "$1 $n" ] || fail "$1: cat $n"
        echo "$n" >>"$work/b/$1-lines" || fail "$1: append $n"
        took=$(($(now_ms) - start))
        [ $took -le $worst ] || worst=$took
        n=$((n + 1))
    done
    [ "$(sort -n "$work/a/$1-lines" | uniq | wc -l)" = $n ] || fail "$1: appended lines are lost"
    [ "$(ls "$work/b" | grep -c "^$1[0-9]")" = $n ] || fail "$1: names are missing"
    cp "$work/big" "$work/a/$1-big" && cmp "$work/big" "$work/b/$1-big" || fail "$1: a large file"
    echo "$1: $n rounds, the slowest $worst ms"
    [ $worst -le 4000 ] || fail "$1: a write, a read and an append took $worst ms"
}

work_on usual 3
(sleep 1; kill -9 "${pid_of[2]}") &
work_on killed 5
wait "${pid_of[2]}" 2>/dev/null
start_node 2
wait_for 30 settled 2 3 || fail "node 2 is not back"
(sleep 1; kill -STOP "${pid_of[3]}") &
work_on paused 5
kill -CONT "${pid_of[3]}"
wait_for 10 cmp "$work/big" "$work/a/killed-big" || fail "a large file after all that"
true
