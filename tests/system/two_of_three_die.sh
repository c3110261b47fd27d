#!/usr/bin/env bash
# Two of three dead: puts and gets fail with a clear message inside their deadline, nothing hangs,
# nothing is lost; when one returns it works again by itself.
. "$(dirname "$0")/lib.sh"
start_cluster 3
put_keys 1 kept 30
kill_node 2
kill_node 3
start=$(now_ms)
message=$(ts 1 put kept/new x 2>&1)
status=$?
[ $(($(now_ms) - start)) -le 8000 ] || fail "the put took $(($(now_ms) - start)) ms"
[ $status = 3 ] || [ $status = 4 ] || fail "put without a quorum: status $status"
[ -n "$message" ] || fail "put without a quorum says nothing"
start=$(now_ms)
message=$(ts 1 get kept/1 2>&1 --strict)
status=$?
[ $(($(now_ms) - start)) -le 8000 ] || fail "the get took $(($(now_ms) - start)) ms"
[ $status = 3 ] || fail "get without a quorum: status $status: $message"
start_node 2
wait_for 30 ts 1 put kept/again y || fail "no puts after one came back"
check_keys 1 kept 30
check_keys 2 kept 30
