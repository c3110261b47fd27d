#!/bin/sh
# rooms.sh TOP LIBCORE: the rooms of the core stand in the order of node/README.md: none includes a
# header of one above it, or calls it.
set -eu
top=$1 library=$(realpath "$2")
cd "$top/node/core"
# shellcheck disable=SC2016
order=$(sed -n 's/^| `\([a-z]*\)` |.*/\1/p' ../README.md)
place() { # ROOM: its floor; what stands beside the rooms is above them all
    echo "$order" | grep -nx "$1" | cut -d: -f1 | grep . || echo 99
}
bad=0
for room in */; do
    [ "$(place "${room%/}")" != 99 ] || { echo "node/README.md does not name the room $room"; bad=1; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

grep -rho --include=*.[ch] -H '#include "core/[^"]*"' . | sed 's|^\./||; s|:#include "core/| |; s|"$||' >"$work/arrows"
# Who defines what, and who needs it, from the objects of the library.
nm -A "$library" | sed -n 's|^.*[:/]core_\([a-z_]*\)\.c\.o:[0-9a-f]* *\([TDBRU]\) \(.*\)$|\2 \1 \3|p' >"$work/names"
for file in $(find . -name '*.c' | sed 's|^\./||'); do
    echo "$(echo "${file%.c}" | tr / _) $file"
done >"$work/files"
awk 'NR == FNR { file[$1] = $2; next }
     $1 != "U" { home[$3] = file[$2] }
     { kind[FNR] = $1; from[FNR] = file[$2]; name[FNR] = $3; n = FNR }
     END { for (i = 1; i <= n; i++)
               if (kind[i] == "U" && name[i] in home) print from[i], home[name[i]] }' \
    "$work/files" "$work/names" | sort -u >"$work/calls"
[ -s "$work/calls" ] || { echo "nothing could be read from $library"; bad=1; }
for room in $order; do echo "$room $(place "$room")"; done >"$work/floors"
cat "$work/arrows" "$work/calls" | awk '
    NR == FNR { level[$1] = $2; next }
    function floor_of(path) { split(path, part, "/"); return path ~ "/" ? level[part[1]] : 99 }
    floor_of($2) > floor_of($1) { print $1 " uses " $2 ", of a room above it"; bad = 1 }
    END { exit bad }' "$work/floors" - || bad=1
exit $bad
