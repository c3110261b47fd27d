#!/usr/bin/env bash
# kill -9 of all nodes at once, while keys are being written: every put that was acknowledged is
# there after a restart.
. "$(dirname "$0")/lib.sh"
start_cluster 3
(
    n=0
    while ts 1 put "run/$n" "value of run/$n" 2>/dev/null; do
        echo "$n" >"$work/acknowledged"
        n=$((n + 1))
    done
) &
writer=$!
enough() { [ "$(cat "$work/acknowledged" 2>/dev/null || echo 0)" -ge 80 ]; }
wait_for 60 enough || die "the writer does not get on"
kill -9 "${pid_of[@]}"
wait "${pid_of[@]}" "$writer" 2>/dev/null
for i in 1 2 3; do
    start_node "$i"
done
for i in 1 2 3; do
    wait_for 30 settled "$i" 3 || die "node $i is not back"
done
last=$(cat "$work/acknowledged")
check_keys 2 run $((last + 1))
