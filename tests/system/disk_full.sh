#!/usr/bin/env bash
# A data directory on a disk that fills up: puts are refused with a word about space, what was
# stored is read as before, deletes still work, and with room again so do puts.
. "$(dirname "$0")/lib.sh"
mkdir "$work/d1"
mount -t tmpfs -o size=160m tmpfs "$work/d1" || die "no tmpfs"
start_cluster 1
put_keys 1 before 10
head -c 300000 /dev/urandom >"$work/value"
ts 1 put large <"$work/value" || fail "put with room"

dd if=/dev/zero of="$work/d1/.filler" bs=1M status=none 2>/dev/null
truncate -s -4M "$work/d1/.filler" # others left a little: less than the reserve
said=$(ts 1 put after <"$work/value" 2>&1) && fail "a put on a full disk is acknowledged"
grep -qi "full\|space" <<<"$said" || fail "no word about space: $said"
check_keys 1 before 10
ts 1 get large | cmp -s - "$work/value" || fail "get on a full disk"
ts 1 rm before/0 || fail "a delete on a full disk: status $?"
kill -0 "${pid_of[1]}" || die "the node has ended"

rm "$work/d1/.filler"
wait_for 10 ts 1 put after again || fail "puts do not work again"
ts 1 put large2 <"$work/value" || fail "large puts do not work again"
stop_node 1 || fail "stop"
start_node 1
wait_for 20 settled 1 1 || die "the node does not come back"
[ "$(ts 1 get after)" = again ] || fail "get after"
ts 1 get large2 | cmp -s - "$work/value" || fail "get large2"
ts 1 get before/0 2>/dev/null && fail "a deleted key is back"
[ "$(ts 1 get before/1)" = "value of before/1" ] || fail "get before/1"
