#!/usr/bin/env bash
# Members that are dead do not hold up those that leave or are removed, where the data is safe; a
# removal asked of a mount's node is carried out; a dead machine is replaced with one command.
. "$(dirname "$0")/lib.sh"

start_cluster 5 --partitions 64
put_keys 1 k 40
ts 1 status --wait 30 >/dev/null || fail "status --wait: $?"

# One is dead, another one leaves: three of four owners hold what it had.
kill_node 5
put_keys 1 late 20
timeout 60 toystore --node "$(host 4):3001" leave >"$work/leave" || fail "leave: $? $(cat "$work/leave"; ts 4 status --json)"
grep -q 'may be stopped' "$work/leave" || fail "$(cat "$work/leave")"
[ "$(ts 4 status --json | json_number keys_to_give)" -gt 0 ] || fail "it gave up what a dead owner has not"
stop_node 4 || fail "node 4 ends with $?"
check_keys 1 k 40
check_keys 2 late 20

# The dead one comes back: it takes what has become its own from those that are there.
start_node 5
for i in 1 2 3 5; do wait_for 30 settled "$i" 4 || fail "node $i is not settled"; done
kill_node 1
check_keys 5 k 40
check_keys 5 late 20
start_node 1 --seed "$(host 2)"
for i in 1 2 3 5; do wait_for 30 settled "$i" 4 || fail "node $i is not settled"; done

# Asked of a mount's node, by name and by an address; what must not be is refused there, too.
start_mount m --seed "$(host 1)" --host "$(host 50)" --rpc-port 3700 --name m
client() { toystore --node "$(host 50):3700" "$@"; }
client remove nobody 2>/dev/null
[ $? = 1 ] || fail "a mount's node removes nobody"
client remove m 2>"$work/refusal" && fail "a mount is removed from the ring"
grep -q 'stores nothing' "$work/refusal" || fail "$(cat "$work/refusal")"
client remove n1 --force 2>"$work/refusal" && fail "one that answers is removed by force"
grep -q 'answers' "$work/refusal" || fail "$(cat "$work/refusal")"
client remove "$(host 3):3001" >"$work/remove" || fail "remove at a mount's node: $? $(cat "$work/remove")"
for i in 1 2 5; do settled "$i" 3 || fail "remove ends before node $i is settled: $(ts "$i" status --json)"; done
[ "$(ts 3 status --json | json_number keys)" = 0 ] || fail "remove ends before node 3 has given up its keys"
stop_node 3
check_keys 1 k 40

# A machine dies for good.
kill_node 2
ts 1 replace n2 n6 --wait 1 >/dev/null 2>&1 && fail "a member that is not there takes another one's place"
[ "$(ts 1 status --json | json_number layout_members)" = 3 ] || fail "a replacement that did not come has removed n2"
ts 1 replace n1 n1 --no-wait 2>/dev/null && fail "a member that lives takes its own place"
ts 1 replace "$(host 1):3001" n1 --no-wait 2>/dev/null && fail "a member takes its own place by its address"
ts 1 replace nobody n1 --wait 300 2>"$work/nobody" && fail "nobody is replaced"
grep -q 'no member "nobody"' "$work/nobody" || fail "replace of nobody says: $(cat "$work/nobody")"
[ "$(ts 1 status --json | json_number layout_members)" = 3 ] || fail "a refused replacement has removed somebody"
ts 1 replace n2 n6 >"$work/replace" &
replacing=$!
wait_for 10 grep -q 'waiting for n6' "$work/replace" || fail "replace does not wait for n6"
start_node 6
wait "$replacing" || fail "replace: $? $(cat "$work/replace")"
for i in 1 5 6; do settled "$i" 3 || fail "node $i is not settled: $(ts "$i" status --json)"; done
ts 1 ring --json | grep -q '"name": "n2"' && fail "n2 is still in the ring"
kill_node 5
check_keys 6 k 40
check_keys 1 late 20
