#!/usr/bin/env bash
# fs/quickstart as a newcomer runs it: mounts, says what to try and how to stop, and all of that is
# true; a second run changes nothing; what was written is there after the next start.
. "$(dirname "$0")/lib.sh"
quickstart=$(realpath "$(dirname "$0")/../../fs/quickstart")
export HOME=$work
unset XDG_DATA_HOME
# As root the data would go below /var/lib: not in a test.
[ "$(id -u)" != 0 ] || { mkdir -p /var/lib/toystore && mount -t tmpfs none /var/lib/toystore; }

quickstart() { BUILD=$BUILD/quickstart "$quickstart" "$@" </dev/null >"$work/out" 2>&1; }
commands() { sed -n "/^$1:/,/^[^ ]/ s/^    //p" "$work/out"; }

quickstart || { cat "$work/out"; die "quickstart fails"; }
grep -q "is mounted at $work/toy\$" "$work/out" || fail "it does not say where"
commands Try >"$work/try"
[ "$(wc -l <"$work/try")" -ge 3 ] || fail "it does not say what to try"
bash -e "$work/try" >"$work/tried" 2>&1 || fail "what it says to try fails: $(cat "$work/tried")"
[ "$(grep -c '^hello$' "$work/tried")" = 2 ] || fail "the greeting does not come back"

quickstart || fail "a second run fails"
grep -q "already mounted" "$work/out" || fail "a second run does not see the mount"

commands Stop >"$work/stop"
bash -e "$work/stop" || fail "its way to stop fails"
mountpoint -q "$work/toy" && fail "it is still mounted"
quickstart || { cat "$work/out"; die "it does not start again"; }
[ "$(cat "$work/toy/greeting")" = hello ] || fail "the greeting is gone after a restart"

mkdir "$work/full" && echo x >"$work/full/file"
quickstart "$work/full" && fail "a directory that is not empty is mounted over"
grep -q "not empty" "$work/out" || fail "it does not say that the directory is not empty: $(tail -n 2 "$work/out")"
