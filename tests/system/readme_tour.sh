#!/usr/bin/env bash
# The tour of README.md, word for word, as a newcomer types it; only its directories are the test's.
. "$(dirname "$0")/lib.sh"
readme=$(dirname "$0")/../../README.md

{
    echo "set -e"
    awk '/^## Five minutes/ {tour = 1} tour && /^```$/ {exit} code {print} tour && /^```sh/ {code = 1}' \
        "$readme" | sed -e "s#/tmp/#$work/#g" -e '/^PATH=/d'
} >"$work/tour"
[ "$(wc -l <"$work/tour")" -gt 15 ] || die "README.md has no tour"
bash "$work/tour" >"$work/tour.out" 2>&1 || {
    cat "$work/tour.out"
    die "the tour ends with status $?"
}
for words in "hello from the mount" "hi from the command line" "written while a node was dead"; do
    grep -qF "$words" "$work/tour.out" || fail "the tour does not show: $words"
done
grep -qE "^layout_members +3" "$work/tour.out" || fail "three nodes are not in the layout"
grep -qE "^127.0.0.4:3001 .* dead" "$work/tour.out" || fail "the killed node is not seen as dead"
[ "$(grep -cE "^ +node +127.0.0.[234]:3001" "$work/tour.out")" = 3 ] &&
    [ "$(grep -cE "^ +found +yes" "$work/tour.out")" = 3 ] ||
    fail "not all three nodes hold the file in the end"
[ $failures = 0 ] || cat "$work/tour.out"
