#!/usr/bin/env bash
# Members leave under load, die in the middle of it, are removed and replaced: nothing is lost, and
# `status` says when all is well.
. "$(dirname "$0")/lib.sh"

well() { ts "$1" status >"$work/status" 2>&1; }
place() { [ "$(ts "$1" status --json | grep -o '"place": *"[a-z]*"' | grep -o '[a-z]*"$')" = "$2\"" ]; }

start_cluster 4 --partitions 64
put_keys 1 before 20
ts 1 status --wait 30 >/dev/null || fail "status --wait: $?"
well 1 || fail "status is $? with all well: $(cat "$work/status")"

# Node 4 leaves while others write.
(for n in $(seq 0 59); do ts 2 put "during/$n" "value of during/$n" || echo "put $n: $?"; done) \
    >"$work/puts" &
puts=$!
began=$SECONDS
ts 4 leave >"$work/leave" || fail "leave: $? $(cat "$work/leave")"
said=$(grep -c "^n4" "$work/leave") # two lines each time
[ "$said" -ge 1 ] && [ "$said" -le $((SECONDS - began + 4)) ] ||
    fail "leave has $said lines for $((SECONDS - began)) s"
place 4 left || fail "node 4 has not left"
wait $puts
[ ! -s "$work/puts" ] || fail "$(cat "$work/puts")"
ts 4 leave >/dev/null 2>&1 || fail "leave again: $?"
stop_node 4 || fail "node 4 ends with $?"
check_keys 1 before 20
check_keys 2 during 60
wait_for 10 well 2 || fail "status of three that are well: $(cat "$work/status")"

# Refusals.
ts 1 remove nobody 2>/dev/null
[ $? = 1 ] || fail "an unknown member is removed"
ts 1 leave --force 2>/dev/null
[ $? = 2 ] || fail "leave --force is taken"
kill_node 2
kill_node 3
ts 1 remove n2 --no-wait 2>/dev/null
[ $? != 0 ] || fail "the last majority is removed unasked"
start_node 2
start_node 3
for i in 1 2 3; do wait_for 30 settled $i 3 || die "node $i does not come back"; done

# A leaver and another one die in the middle; then it is done all the same.
start_node 5
for i in 1 2 3 5; do wait_for 30 settled $i 4 || die "node 5 does not join"; done
ts 3 leave --no-wait || fail "leave: $?"
sleep 0.4
kill_node 3
kill_node 1
start_node 1 --seed "$(host 2)"
start_node 3
wait_for 60 place 3 left || fail "node 3 has not left: $(ts 3 status --json)"
check_keys 5 before 20
check_keys 3 during 60
stop_node 3

# A dead machine is replaced by one command.
kill_node 5
start_node 6
wait_for 30 settled 6 4 || fail "node 6 does not join"
well 1
[ $? = 1 ] || fail "all is well without node 5"
ts 1 remove n5 >"$work/remove" || fail "remove: $? $(cat "$work/remove")"
wait_for 20 well 1 || fail "after the removal: $(cat "$work/status")"
kill_node 2 # whatever had a copy on node 5 has another one by now
check_keys 6 before 20
check_keys 1 during 60
