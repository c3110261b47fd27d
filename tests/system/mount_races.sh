#!/usr/bin/env bash
# Two mounts of three nodes at the same names: no line of an append is lost, no reader sees an
# empty or half value, one winner of mkdir and O_EXCL, no file below a directory that is gone.
. "$(dirname "$0")/lib.sh"
start_cluster 3
start_mount a --seed "$(host 1)"
start_mount b --seed "$(host 3)"
a=$work/a b=$work/b

# Readers beside writers: a redirection, cp of a small and of a large file.
long=$(printf 'x%.0s' {1..3000})
head -c 300000 /dev/zero | tr '\0' 1 >"$work/ones"
head -c 400000 /dev/zero | tr '\0' 2 >"$work/twos"
echo "$long" >"$a/value"
cp "$work/ones" "$a/large"
readers=() writers=() one=()
(
    while [ ! -e "$work/stop" ]; do
        echo "$long" >"$a/value" || echo "echo failed" >>"$work/bad"
        cp "$work/twos" "$a/large" || echo "cp failed" >>"$work/bad"
        cp "$work/ones" "$a/large" || echo "cp failed" >>"$work/bad"
    done
) &
writer=$!
for mount in "$a" "$b"; do
    (
        while [ ! -e "$work/stop" ]; do
            got=$(cat "$mount/value") || echo "cat failed in $mount" >>"$work/bad"
            [ "$got" = "$long" ] || echo "${#got} bytes in $mount" >>"$work/bad"
            sum=$(md5sum <"$mount/large")
            case $sum in
            "$(md5sum <"$work/ones")" | "$(md5sum <"$work/twos")") ;;
            *) echo "a mixture of $(stat -c %s "$mount/large") bytes in $mount" >>"$work/bad" ;;
            esac
        done
    ) &
    readers+=($!)
done
sleep 6
touch "$work/stop"
wait $writer "${readers[@]}"
[ ! -s "$work/bad" ] || fail "readers and writers: $(sort "$work/bad" | uniq -c | head -n 5)"

# Appends from both mounts, four writers.
for writer in 1 2 3 4; do
    mount=$a
    [ $((writer % 2)) = 0 ] && mount=$b
    for n in $(seq 50); do
        echo "$writer $n" >>"$mount/lines" || echo "append failed" >>"$work/bad"
    done &
    writers[writer]=$!
done
wait "${writers[@]}"
[ "$(sort -u "$a/lines" | wc -l)" = 200 ] || fail "$(sort -u "$a/lines" | wc -l) of 200 appended lines"
[ "$(wc -l <"$b/lines")" = 200 ] || fail "appended lines are there twice: $(wc -l <"$b/lines")"

# One winner.
for n in $(seq 20); do
    for mount in "$a" "$b"; do
        { mkdir "$mount/dir$n" && echo "$mount"; } 2>/dev/null >>"$work/dirs" &
        one[${#one[@]}]=$!
        { (set -C; echo "$mount" >"$mount/lock$n") && echo "$mount"; } 2>/dev/null >>"$work/locks" &
        one[${#one[@]}]=$!
    done
    wait "${one[@]}"
    one=()
done
[ "$(wc -l <"$work/dirs")" = 20 ] || fail "mkdir: $(wc -l <"$work/dirs") winners of 20"
[ "$(wc -l <"$work/locks")" = 20 ] || fail "O_EXCL: $(wc -l <"$work/locks") winners of 20"

# rmdir here while files are made there: either there is no directory, or the file is in it.
for n in $(seq 30); do
    mkdir -p "$a/box"
    rmdir "$a/box" 2>/dev/null &
    remover=$!
    echo "$n" 2>/dev/null >"$b/box/file" && made=1 || made=0
    wait $remover
    if [ $made = 1 ]; then
        wait_for 10 test -f "$a/box/file" || fail "round $n: a file was made and its directory is gone"
        [ "$(ls "$b" | grep -c '^box$')" = 1 ] || fail "round $n: the directory is not listed"
        rm -rf "$a/box"
    fi
done

# rename here and there of one file: one name is left, with its content.
for n in $(seq 20); do
    echo "$n" >"$a/from"
    mv "$a/from" "$a/to1" 2>/dev/null &
    mover=$!
    mv "$b/from" "$b/to2" 2>/dev/null
    wait $mover
    [ ! -e "$a/from" ] || fail "round $n: the old name is left"
    [ "$(cat "$a"/to1 "$b"/to2 2>/dev/null | sort -u)" = "$n" ] || fail "round $n: content is lost"
    rm -f "$a/to1" "$a/to2"
done
