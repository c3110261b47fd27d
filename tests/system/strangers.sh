#!/usr/bin/env bash
# Garbage on every port, a node with another cluster's name, and a node of another cluster of the
# same name: refused with a clear word, and nobody is the worse for it.
. "$(dirname "$0")/lib.sh"

start_cluster 2
put_keys 1 k 10

for port in 3001 7946; do
    head -c 100000 /dev/urandom >"/dev/tcp/$(host 1)/$port" 2>/dev/null
    printf 'GET / HTTP/1.0\r\n\r\n' >"/dev/tcp/$(host 1)/$port"
done
for _ in 1 2 3 4 5 6 7 8; do head -c 1000 /dev/urandom >"/dev/udp/$(host 1)/7946"; done
check_keys 1 k 10 || fail "garbage did harm"

start_node 5 --cluster other --seed "$(host 1)"
wait_for 10 grep -q 'this is cluster "toystore", not "other"' "$work/n5.log" ||
    fail "no word about the other cluster's name"

start_node 6 --seed "$(host 6)"
wait_for 10 settled 6 1 || die "a founder that names itself as its seed does not come up"
stop_node 6
start_node 6 --seed "$(host 1)"
wait_for 10 grep -q 'another cluster of the name' "$work/n6.log" ||
    fail "no word about another cluster of the same name"

[ "$(ts 1 members --json | grep -o '"name"' | wc -l)" = 2 ] || fail "a stranger became a member"
check_keys 2 k 10 || fail "keys are gone"
