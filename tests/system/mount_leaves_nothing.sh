#!/usr/bin/env bash
# A mount ends in order, by umount and by SIGTERM, with files open and work left behind answers.
# Under AddressSanitizer (tests/run builds and runs it so) it then has given back all its memory.
. "$(dirname "$0")/lib.sh"
m=$work/m
use() {
    echo hi >"$m/small" && head -c 3000000 /dev/urandom >"$m/big" || fail "writing"
    mkdir "$m/d" && touch "$m/d/1" "$m/d/2" && ls -l "$m/d" >/dev/null || fail "a directory"
    cp "$m/big" "$m/copy" && cp "$m/copy" "$m/big" && mv "$m/copy" "$m/d/1" || fail "copies"
    cmp "$m/big" "$m/d/1" || fail "the copy is not whole"
    rm -r "$m/d" && cat "$m/.toystore/status" >/dev/null || fail "removal"
}
start_mount m --data "$work/data"
use
exec 5>"$m/open" 6<"$m/big"
echo unpublished >&5
umount -l "$m"
exec 5>&- 6<&-
wait "${pid_of[m]}" || fail "umount: status $?"
start_mount m --data "$work/data"
[ "$(cat "$m/open")" = unpublished ] || fail "what was open is not there"
use
exec 5>"$m/open"
echo term >&5
kill -TERM "${pid_of[m]}"
wait "${pid_of[m]}" || fail "SIGTERM: status $?"
unset "pid_of[m]"
exec 5>&-
