#!/usr/bin/env bash
# Large files are written over and removed, again and again: the disk space comes back. A file that
# is open stays whole when its name goes; a kill in the middle of it all leaves the old file or the new.
. "$(dirname "$0")/lib.sh"
used() { du -sm "$work/data" | awk '{print $1}'; }
at_most() { [ "$(used)" -le "$1" ]; }
start_mount a --data "$work/data"
head -c 40000000 /dev/urandom >"$work/one"
head -c 40000000 /dev/urandom >"$work/two"
for round in 1 2 3; do
    cp "$work/one" "$work/a/file" && cp "$work/two" "$work/a/file" || fail "round $round: cp"
    cp "$work/one" "$work/a/gone" && rm "$work/a/gone" || fail "round $round: rm"
    cp "$work/one" "$work/a/new" && mv "$work/a/new" "$work/a/other" || fail "round $round: mv"
done
wait_for 40 at_most 110 || fail "two files of 40 MB take $(used) MiB"
cmp "$work/two" "$work/a/file" && cmp "$work/one" "$work/a/other" || fail "a file is not whole"
# By the raw client, too, and in place of what a raw put replaces.
node=$(sed -n 's/.*"rpc_port": *\([0-9]*\).*/\1/p' "$work/a/.toystore/members" | head -n 1)
raw() { toystore --node "127.0.0.1:$node" "$@"; }
before=$(used)
cp "$work/one" "$work/a/raw1" && cp "$work/two" "$work/a/raw2" || fail "cp for the raw client"
[ "$(used)" -ge $((before + 70)) ] || fail "two more files of 40 MB take only $(($(used) - before)) MiB"
raw rm raw1 && raw put raw2 small || fail "the raw client: status $?"
wait_for 40 at_most $((before + 5)) || fail "what the raw client removed takes $(used), not $before MiB"
[ "$(cat "$work/a/raw2")" = small ] || fail "what the raw client put is not there"
exec 5<"$work/a/other"
rm "$work/a/other"
sleep 7
cmp "$work/one" - <&5 || fail "an open file without a name is not whole"
exec 5<&-
(for i in 1 2 3 4 5 6; do cp "$work/one" "$work/a/file"; cp "$work/two" "$work/a/file"; done) 2>/dev/null &
writer=$!
sleep 1.5
kill -9 "${pid_of[a]}"
wait "${pid_of[a]}" "$writer" 2>/dev/null
umount -l "$work/a" 2>/dev/null
start_mount a --data "$work/data"
cmp -s "$work/one" "$work/a/file" || cmp -s "$work/two" "$work/a/file" ||
    fail "after a kill the file is neither the old nor the new one"
