#!/usr/bin/env bash
# A copy of a data directory whose node goes on elsewhere stops by itself, says why, and begins
# empty, under a new id, when it is started again (PROTOCOL 7).
. "$(dirname "$0")/lib.sh"

start_cluster 3
put_keys 1 k 20
stop_node 3 || fail "a node that was told to stop did not end well"
cp -r "$work/d3" "$work/d4"
start_node 3
wait_for 20 settled 3 3 || die "node 3 does not come back"

members() { ts 1 members --json | grep -o '"name"' | wc -l; }
node_gone() { ! kill -0 "${pid_of[$1]}" 2>/dev/null; }

start_node 4
wait_for 20 node_gone 4 || die "the copy goes on"
grep -q "is a copy" "$work/n4.log" || fail "the copy does not say why it stopped"
[ "$(members)" = 3 ] || fail "the copy became a member"
check_keys 3 k 20 || fail "the first lost something"

start_node 4
wait_for 30 settled 4 4 || die "the emptied directory is not taken in"
[ "$(members)" = 4 ] || fail "the emptied directory has not become a member of its own"
check_keys 4 k 20 || fail "keys are missing at the new member"
