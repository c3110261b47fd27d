#!/usr/bin/env bash
# Three nodes are replaced by the next version, one after the other, while a mount writes: nothing
# fails, nothing is lost. A version that has no word in common is refused, and both sides say why.
. "$(dirname "$0")/lib.sh"
next=$BUILD/tests/system/toystored_next after_next=$BUILD/tests/system/toystored_after_next

start_cluster 3
put_keys 1 before 10
start_mount m --seed "$(host 1)" --seed "$(host 2)"

write_on() { # until $work/enough is there; the number of the last one written is kept
    local n
    for ((n = 0; ; n++)); do
        [ ! -e "$work/enough" ] || return 0
        echo "value of w/$n" >"$work/m/w/$n" || { echo "$n: $?" >>"$work/refused"; return 1; }
        echo "$n" >>"$work/written"
        sleep 0.03
    done
}
written() { cat "$work/written" 2>/dev/null | wc -l; }
mkdir "$work/m/w" || die "mkdir"
write_on &
writer=$!

for i in 3 2 1; do
    before=$(written)
    stop_node "$i" || fail "node $i: status $?"
    TOYSTORED=$next start_node "$i" --seed "$(host $((i % 3 + 1)))"
    wait_for 30 settled "$i" 3 || die "node $i is not back with the next version"
    [ "$(written)" -gt "$before" ] || fail "nothing was written while node $i was replaced"
    put_keys "$i" "mixed$i" 5
    for at in 1 2 3; do check_keys "$at" "mixed$i" 5; done
done
touch "$work/enough"
wait "$writer" || fail "a write was refused: $(cat "$work/refused")"
last=$(($(written) - 1))
echo "$last files were written meanwhile"
for at in 1 2 3; do check_keys "$at" before 10; done
for ((n = 0; n <= last; n++)); do
    [ "$(cat "$work/m/w/$n")" = "value of w/$n" ] || fail "w/$n is not what was written"
done
grep -q 'protocol version 1 is spoken, 2 here' "$work"/n?.log || fail "never talked to an older one"

# One that speaks neither.
TOYSTORED=$after_next start_node 5 --seed "$(host 1)"
wait_for 10 grep -q 'protocol versions 1 to 2 are spoken here, not 3 to 3' "$work/n5.log" ||
    fail "the newcomer does not say what is wrong"
wait_for 10 grep -q 'refused a Hello from .*: protocol versions 1 to 2' "$work/n1.log" ||
    fail "the member does not say what is wrong"
ts 1 members --json | grep -q '"n5"' && fail "a node that nobody can talk to became a member"
ts 5 members 2>"$work/refusal" && fail "the command line talks to what it cannot understand"
grep -q 'protocol versions 3 to 3 are spoken here, not 1 to 1' "$work/refusal" ||
    fail "the command line does not say what is wrong: $(cat "$work/refusal")"
check_keys 1 before 10
