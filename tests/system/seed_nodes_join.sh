#!/usr/bin/env bash
# The seed's second: nodes 127.0.0.7 to 127.0.0.9 join while keys are written; nothing is missed.
. "$(dirname "$0")/lib.sh"
start_cluster 5
put_keys 1 before 50
for i in 6 7 8; do
    start_node "$i"
done
put_keys 2 during 100
check_keys 4 before 50
check_keys 5 during 100
for i in 1 2 3 4 5 6 7 8; do
    wait_for 60 settled "$i" 8 || die "node $i is not in the layout of 8"
done
for i in 6 7 8; do
    check_keys "$i" before 50
    check_keys "$i" during 100
done
