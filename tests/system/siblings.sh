#!/usr/bin/env bash
# A split of five nodes into three and two: both sides write one file. After it both contents are
# there as files: one at the name, the other as .toystore/conflicts/NAME/TIME-NODE and as
# NAME.conflict-TIME-NODE. cp of one over the name and rm of the conflict resolve it, or mv alone.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/net.sh"
net_begin || exit 77
left=(1 2 3 101) right=(4 5 102)
name_of() { case $1 in 101) echo a ;; 102) echo b ;; *) echo "$1" ;; esac; }
for i in 1 2 3 4 5 101 102; do net_place "$(name_of $i)" "$i"; done
start_cluster 5
start_mount a --seed "$(host 1)" --host "$(host 101)"
start_mount b --seed "$(host 4)" --host "$(host 102)" -o conflicts=show
a=$work/a b=$work/b
each_pair() { # COMMAND: of every two that are on different sides
    local l r
    for l in "${left[@]}"; do
        for r in "${right[@]}"; do
            "$1" "$(name_of "$l")" "$r"
            "$1" "$(name_of "$r")" "$l"
        done
    done
}
on_a() { ${within[2]} toystore --node "$(host 2):3001" "$@"; }
on_b() { ${within[4]} toystore --node "$(host 4):3001" "$@"; }
on_1() { ${within[1]} toystore --node "$(host 1):3001" "$@"; }
# named PREFIX: such a name with owners on both sides; with none a side could not even read it.
named() {
    local n owners
    for n in $(seq 100); do
        owners=$(on_1 locate --json "$1$n" | tr '{' '\n' | grep '"owner"')
        grep -q '"n[123]"' <<<"$owners" && grep -q '"n[45]"' <<<"$owners" && break
    done
    echo "$1$n"
}

d=$(named d)
mkdir "$a/$d" || fail "mkdir"
old=$(named old) inner=$(named "$d/old") moved=$(named moved) gone=$(named gone) new=$(named new)
same=$(named same) big=$(named big)
head -c 300000 /dev/urandom >"$work/large"
echo "of b" >"$work/small"
written_big() { cat "$work/small" >"$b/$big"; }
for f in $old $inner $moved $gone; do echo "before" >"$a/$f" || fail "echo $f"; done
each_pair net_part
for side in a b; do
    m=$work/$side
    for f in $old $inner $moved $gone $new $same; do
        written() { echo "of $side" >"$m/$f"; }
        [ "$f" = $same ] && written() { echo "of both" >"$m/$f"; }
        wait_for 30 written 2>/dev/null ||
            fail "$f on side $side; its nodes say: $(on_$side get "$f" 2>&1; on_$side status 2>&1)"
    done
done
# Where two of five are left a record or a chunk may have no owner at all; three always have one. cp
# would make the file with O_EXCL, for which its name needs a majority.
wait_for 30 dd if="$work/large" of="$a/$big" bs=1M status=none || fail "$big on side a"
wait_for 30 written_big 2>/dev/null || fail "$big on side b"
[ "$(cat "$a/$old")$(cat "$b/$old")" = "of aof b" ] || fail "a side does not read what it wrote"
each_pair net_join

listed() { [ "$(ls "$1/.toystore/conflicts" | sort | xargs)" = "$big $d $gone $moved $new $old" ]; }
for m in "$a" "$b"; do
    wait_for 60 listed "$m" || fail "conflicts in $m: $(ls "$m/.toystore/conflicts" | xargs)"
done
[ "$d/$(ls "$a/.toystore/conflicts/$d")" = "$inner" ] ||
    fail "conflicts of $d: $(ls "$a/.toystore/conflicts/$d")"
both() { cat "$1/$2" "$1/.toystore/conflicts/$2/"* | sort | xargs; }
for f in $old $inner $moved $gone $new; do
    for m in "$a" "$b"; do
        [ "$(both "$m" "$f")" = "of a of b" ] || fail "$f in $m: $(both "$m" "$f")"
    done
done
[ "$(cat "$a/$same")" = "of both" ] || fail "what both wrote alike: $(cat "$a/$same")"
tag=$(ls "$a/.toystore/conflicts/$big")
shown=large other=small
[ "$(head -c 4 "$a/$big")" = "of b" ] && shown=small other=large
cmp "$work/$shown" "$a/$big" || fail "the $shown file is not whole"
cmp "$work/$other" "$b/.toystore/conflicts/$big/$tag" || fail "its $other sibling is not whole"

# By name, and only listed where that was asked for.
tag=$(ls "$a/.toystore/conflicts/$old")
[ "$(cat "$a/$old.conflict-$tag" "$a/$old" | sort | xargs)" = "of a of b" ] || fail "$old.conflict-$tag"
ls "$a" | grep -q conflict && fail "a mount lists conflicts unasked: $(ls "$a" | xargs)"
ls "$b" | grep -qxF "$old.conflict-$tag" || fail "conflicts=show does not: $(ls "$b" | xargs)"
: 2>/dev/null >"$a/$old.conflict-$tag" && fail "a sibling can be written to"
# The command line sees the same.
[ "$(on_1 get "$old")" = "$(cat "$a/$old")" ] ||
    fail "toystore get is not what the name shows"
on_1 get "$old" 2>&1 >/dev/null | grep -q "2 versions" || fail "toystore get does not say that there are two"
on_1 get "$d" 2>&1 >/dev/null | grep -q versions && fail "toystore get says it of what has one"
on_1 stat --json "$old" >"$work/stat" 2>&1
grep -q '"sibling"' "$work/stat" || fail "toystore stat says: $(cat "$work/stat")"

# Whoever writes to the name leaves the sibling, also who has made it.
for m in "$a" "$b"; do
    echo "later" >"$m/$new" || fail "$new cannot be written to"
    [ "$(ls "$m/.toystore/conflicts/$new" | wc -l)" = 1 ] || fail "a write in $m takes the sibling of $new"
done

# cp and rm; mv; rm of the name shows what is left.
wanted=$(cat "$a/$old.conflict-$tag")
cp "$a/$old.conflict-$tag" "$a/$old" || fail "cp of a sibling over its name"
rm "$a/$old.conflict-$tag" || fail "rm of a sibling"
mv "$a/.toystore/conflicts/$moved/"* "$a/$moved" || fail "mv of a sibling over its name"
large_tag=$(ls "$a/.toystore/conflicts/$big")
rm "$a/.toystore/conflicts/$big/$large_tag" || fail "rm of a large sibling"
left_over=$(cat "$a/.toystore/conflicts/$gone/"*)
rm "$a/$gone" && [ "$(cat "$a/$gone")" = "$left_over" ] || fail "the sibling of a removed file"
rm "$a/$gone" && [ ! -e "$a/$gone" ] || fail "the last version cannot be removed"
echo after >"$a/$same"
for m in "$a" "$b"; do
    [ "$(cat "$m/$old")" = "$wanted" ] || fail "old is not what was copied there"
    [ "$(ls "$m/.toystore/conflicts" | sort | xargs)" = "$d $new" ] ||
        fail "left in $m: $(ls "$m/.toystore/conflicts" | xargs)"
    cmp "$work/$shown" "$m/$big" || fail "the large file has gone with its sibling"
    [ "$(cat "$m/$same")" = after ] || fail "same"
    [ ! -e "$m/$old.conflict-$tag" ] || fail "the sibling is still there"
done
