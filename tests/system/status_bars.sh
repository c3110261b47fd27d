#!/usr/bin/env bash
# In a terminal `toystore status` watches what moves to its end, each movement with a bar; elsewhere,
# and with --no-wait, it prints the status and no more.
. "$(dirname "$0")/lib.sh"
start_cluster 3
for i in 1 2 3; do wait_for 30 settled $i 3 || die "no cluster of three"; done
"$BUILD/tests/bench/rpc_load" "$(host 1)" 3001 put 20000 64 1000 k/ 20000 >/dev/null || die "no load"
in_terminal() { script -qec "toystore --node $(host 1):3001 $*" /dev/null </dev/null; }

start_node 4
watched() {
    in_terminal status >"$work/bars" || return 1
    grep -aq 'n4 .*\[[#.]*\] [0-9]* of [0-9]* partitions' "$work/bars"
}
wait_for 60 watched || fail "no bar: $(cat -v "$work/bars")"
settled 1 4 || fail "status has ended before the movement"
grep -aq 'n4 .*#' "$work/bars" || fail "the bar stands still: $(cat -v "$work/bars")"

# Node 4 leaves: plain lines for who is no terminal, and who does not wait is not made to.
ts 4 leave --no-wait || fail "leave: $?"
in_terminal status --no-wait >"$work/plain"
! grep -aq '\[[#.]\{40\}\]' "$work/plain" || fail "a bar with --no-wait: $(cat -v "$work/plain")"
ts 1 status >"$work/plain" 2>&1
! grep -aq '\[[#.]\{40\}\]' "$work/plain" || fail "a bar in a file: $(cat -v "$work/plain")"
ts 1 status --wait 60 >"$work/plain" || fail "status --wait: $?"
in_terminal status --no-wait --wait 3 >"$work/plain" && fail "--wait and --no-wait are both taken"
exit 0
