#!/usr/bin/env bash
# A member is its data directory, its address is where it happens to be: directories that come back
# at new addresses, a new directory at an old address, and members that find each other without a
# seed, in any order.
. "$(dirname "$0")/lib.sh"

# start_at I ADDRESS [options]: node I's directory at another node's address.
start_at() {
    local i=$1 at=$2
    shift 2
    toystored --data "$work/d$i" --host "$(host "$at")" --name "n$i" --probe-interval 200 \
        --handoff-interval 200 "$@" >>"$work/n$i.log" 2>&1 &
    pid_of[$i]=$!
}
# The node's own id stands first; those of members that it waits for come behind.
id_at() { ts "$1" status --json 2>/dev/null | grep -o '"id": *"[0-9a-f]*"' | head -n 1 | grep -o '[0-9a-f]\{16\}'; }
knows() { ts "$1" members | grep -q "$2"; }

start_cluster 3
put_keys 1 k 30
id3=$(id_at 3)
[ -n "$id3" ] || die "node 3 tells no id"

# Stopped and killed, both come back elsewhere, without a seed.
stop_node 3
start_at 3 6
wait_for 30 settled 6 3 || die "node 3 does not come back at another address"
[ "$(id_at 6)" = "$id3" ] || fail "node 3 is another now"
wait_for 20 knows 1 "$(host 6)" || fail "node 1 does not know node 3's new address"
kill_node 2
start_at 2 7
wait_for 30 settled 7 3 || die "node 2 does not come back at another address after kill -9"
check_keys 6 k 30
put_keys 7 l 20

# A new directory where node 3 was: a fourth member, and node 3 stays itself.
start_at 4 3 --seed "$(host 1)"
wait_for 30 settled 3 4 || die "a new directory does not join at an old address"
[ "$(id_at 3)" != "$id3" ] || fail "the new directory took the old one's identity"
[ "$(id_at 6)" = "$id3" ] || fail "node 3 lost its identity to the newcomer"
check_keys 3 l 20

# All of them stop; without a seed, and the founder last, they find each other again.
for i in 4 3 2 1; do
    stop_node "$i" || fail "node $i did not stop well"
done
start_at 4 3
start_at 3 6
start_at 2 7
wait_for 40 ts 6 get k/0 || fail "three of four do not serve without the founder"
start_at 1 1
for at in 1 3 6 7; do
    wait_for 40 settled "$at" 4 || die "the member at $(host "$at") does not come back"
done
check_keys 1 k 30
check_keys 3 l 20

# Two swap their addresses while both are down: each is still who it was.
id2=$(id_at 7)
kill_node 2
kill_node 3
start_at 2 6
start_at 3 7
wait_for 40 settled 6 4 || die "node 2 does not come back at node 3's address"
wait_for 40 settled 7 4 || die "node 3 does not come back at node 2's address"
[ "$(id_at 6)" = "$id2" ] && [ "$(id_at 7)" = "$id3" ] || fail "the swap changed who they are"
put_keys 6 m 20
check_keys 7 m 20
check_keys 1 k 30
wait_for 30 ts 1 status --wait 20 || fail "not all is well at the end"
