#!/usr/bin/env bash
# Five nodes, three copies, two nodes dead: keys that lost their majority take sloppy puts on
# fallbacks, and nothing fails. When the dead return they are told, and every key reads the
# same at every node. Then one node is cut off: the others go on, and it is told when it is back.
. "$(dirname "$0")/lib.sh"
start_cluster 5
put_keys 1 before 60
put_keys 1 sloppy 1 # its directory: making one is exclusive, and needs a majority of its own owners
kill_node 4
kill_node 5
put_keys 1 sloppy 60
check_keys 2 sloppy 60
check_keys 3 before 60
start_node 4
start_node 5
for i in 4 5; do
    wait_for 30 settled "$i" 5 || die "node $i is not back"
done
no_hints() { [ "$(ts "$1" status --json | json_number hints)" = 0 ]; }
for i in 1 2 3 4 5; do
    wait_for 60 no_hints "$i" || fail "node $i keeps its hints"
done
for i in 1 4 5; do
    check_keys "$i" before 60
    check_keys "$i" sloppy 60
done

cut 1
put_keys 3 cut 40
check_keys 5 cut 40
uncut 1
wait_for 30 ts 1 get cut/39 >/dev/null || fail "node 1 does not come back"
check_keys 1 cut 40
