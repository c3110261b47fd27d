#!/usr/bin/env bash
# Wall clocks ten minutes apart, and one that jumps by a day and back while puts go on: nothing fails
# or waits, nobody is taken for dead, the newest value is the newest, and who is ahead is named.
. "$(dirname "$0")/lib.sh"
start_ahead() { # I SECONDS
    echo "$2" >"$work/clock$1"
    FAULTS_CLOCK=$work/clock$1 LD_PRELOAD=$BUILD/tests/system/libfaults.so start_node "$1"
}
start_ahead 1 -600
wait_for 20 settled 1 1 || die "node 1 does not come up"
start_ahead 2 0
start_ahead 3 600
for i in 1 2 3; do wait_for 30 settled "$i" 3 || die "node $i is not in the layout"; done

put_everywhere() { # ROUND: one key after the other at each node; each sees what the last one put
    local n i
    for ((n = 0; n < 6; n++)); do
        for i in 3 1 2; do
            ts "$i" put k "$1.$n.$i" || fail "put at node $i: status $?"
            [ "$(ts $((i % 3 + 1)) get k)" = "$1.$n.$i" ] || fail "an older value is there: $1.$n.$i"
        done
    done
}
put_everywhere apart
names_ahead() { [ "$(ts "$1" status --json | grep -o '"clocks_ahead": [^]]*\]')" = "\"clocks_ahead\": [$2]" ]; }
wait_for 10 names_ahead 2 '"n3"' || fail "node 2 does not name node 3"
wait_for 10 names_ahead 3 '' || fail "node 3 names somebody"
wait_for 10 grep -q "the clock of n3 is 1[0-9]* s ahead" "$work/n1.log" || fail "no word in the log"

jumps=(86400 -86400 0 864000 -600)
for jump in "${jumps[@]}"; do
    echo "$jump" >"$work/clock2"
    put_everywhere "jump$jump"
done
grep -E "n[123] .* is (suspected|dead)" "$work"/n?.log && fail "a clock made somebody look dead"
for i in 1 2 3; do echo 0 >"$work/clock$i"; done
for i in 1 2 3; do wait_for 10 names_ahead "$i" '' || fail "node $i still names somebody"; done
put_everywhere well
