#!/usr/bin/env bash
# toystore repair: every storing member compares its partitions and reads its copies; what is damaged
# is mended; what cannot be reached is told, by the exit status, too.
. "$(dirname "$0")/lib.sh"
start_cluster 3
for i in 1 2 3; do
    head -c 100000 /dev/urandom >"$work/value$i"
    ts 1 put "dir/file$i" <"$work/value$i" || die "put: status $?"
done
value_files() { find "$work/d$1/values" -type f | sort; }
whole() { [ "$(value_files "$1" | wc -l)" -ge 3 ]; }
wait_for 10 whole 2 || die "node 2 has no copies"

# Changed behind the back of a running node.
mapfile -t files < <(value_files 2)
printf 'X' | dd of="${files[0]}" bs=1 seek=70000 conv=notrunc status=none
rm "${files[1]}"
out=$(ts 3 repair 2>"$work/repair.err") || fail "repair: status $?: $out $(cat "$work/repair.err")"
[ "$(wc -l <<<"$out")" = 3 ] || fail "not one line a member: $out"
grep -q "^n2: .* partitions compared, 0 wait .* 2 damaged" <<<"$out" || fail "node 2's damage is not told: $out"
grep -q "^n1: .* 0 damaged, 0 mended" <<<"$out" || fail "node 1 has no damage: $out"
mended() { [ "$(ts 2 repair --json | grep -c '"left": 0, .*"damaged": 0')" = 3 ] && whole 2; }
wait_for 30 mended || fail "what was damaged is not mended"
for i in 1 2 3; do
    ts 2 get "dir/file$i" | cmp -s - "$work/value$i" || fail "file$i is not whole at node 2"
done
grep -q 'the stored copy of .* is damaged' "$work/n2.log" || fail "the log says nothing of damage"
grep -q 'the damaged copy of .* is replaced' "$work/n2.log" || fail "the log says nothing of mending"

# What a monitor reads: how far behind a round is, and the scrub.
for name in repair_lag_ms repair_left scrub_permille hints keys_to_give partitions_recovering; do
    value=$(ts 2 status --json | json_number $name)
    [ "$value" -ge 0 ] 2>/dev/null || fail "$name is \"$value\""
done
nothing_left() { [ "$(ts 2 status --json | json_number repair_left)" = 0 ]; }
wait_for 30 nothing_left || fail "a round does not end: $(ts 2 status --json)"
[ "$(ts 2 status --json | json_number repair_lag_ms)" -lt 60000 ] || fail "node 2 lags: $(ts 2 status --json)"

kill_node 3
absent() { ts 1 members --json | tr -d ' \n' | grep -q '"name":"n3",[^}]*"state":"dead"'; }
wait_for 20 absent || die "node 3 is not found dead"
ts 1 repair >"$work/repair.out" 2>&1
[ $? = 1 ] || fail "a dead owner is not told by the status: $(cat "$work/repair.out")"
grep -q 'n3 is dead' "$work/repair.out" || fail "the dead member is not named: $(cat "$work/repair.out")"
