#!/usr/bin/env bash
# The seed's third: a node is cut off, keys are written meanwhile, the cut heals, and everything is
# everywhere. Then the same with a node that is paused.
. "$(dirname "$0")/lib.sh"
start_cluster 5
put_keys 1 before 100
cut 5
put_keys 1 during 100
check_keys 2 before 100
check_keys 3 during 100
uncut 5
wait_for 30 ts 5 get during/99 || fail "node 5 does not come back"
check_keys 5 before 100
check_keys 5 during 100

kill -STOP "${pid_of[4]}"
put_keys 2 paused 100
check_keys 3 paused 100
kill -CONT "${pid_of[4]}"
wait_for 30 ts 4 get paused/99 || fail "node 4 does not come back"
check_keys 4 paused 100
no_hints() { [ "$(ts "$1" status --json | json_number hints)" = 0 ]; }
for i in 1 2 3 5; do
    wait_for 30 no_hints "$i" || fail "node $i keeps its hints"
done
