#!/usr/bin/env bash
# Locks: refused, since two mounts would both be granted one; kept by the kernel with locks=local.
. "$(dirname "$0")/lib.sh"
start_cluster 1
start_mount shared --seed "$(host 1)"
start_mount own --seed "$(host 1)" -o locks=local

echo x >"$work/shared/file"
flock -n "$work/shared/file" true 2>"$work/refusal" && fail "a lock that holds nowhere else is granted"
grep -q "No locks available" "$work/refusal" || fail "the refusal says: $(cat "$work/refusal")"
echo y >>"$work/shared/file" || fail "a refused lock does harm"

flock -n "$work/own/file" true || fail "locks=local refuses a lock"
exec 9<"$work/own/file"
flock -n 9 || fail "locks=local refuses a lock"
flock -n "$work/own/file" true && fail "a lock is granted twice in one mount"
[ "$(cat "$work/own/file")" = "x
y" ] || fail "the file is not what was written"
