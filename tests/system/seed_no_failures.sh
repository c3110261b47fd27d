#!/usr/bin/env bash
# The seed's first integration test: five nodes, 100 keys put and read at every one of them.
. "$(dirname "$0")/lib.sh"
start_cluster 5
put_keys 1 plain 100
for i in 1 2 3 4 5; do
    check_keys "$i" plain 100
done
ts 3 get plain/none
[ $? = 1 ] || fail "a missing key must be exit status 1"
