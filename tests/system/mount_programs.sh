#!/usr/bin/env bash
# Ordinary programs on a mount, read back through another mount of the same three nodes.
. "$(dirname "$0")/lib.sh"
start_cluster 3
start_mount a --seed "$(host 1)"
start_mount b --seed "$(host 2)"
a=$work/a b=$work/b

is() { # WHAT EXPECTED GOT
    [ "$3" = "$2" ] || fail "$1: '$3' instead of '$2'"
}

# Redirections.
echo hello >"$a/f" || fail "echo: status $?"
is "echo >" hello "$(cat "$b/f")"
echo more >>"$b/f"
is "echo >>" "hello more" "$(tr '\n' ' ' <"$a/f" | sed 's/ $//')"
: >"$a/f"
is ": >" 0 "$(stat -c %s "$b/f")"
{ echo one; echo two; } >"$a/f"
is "two writes" "one two" "$(tr '\n' ' ' <"$b/f" | sed 's/ $//')"
printf 'key=value\n' | tee "$a/t" >/dev/null || fail "tee: status $?"
awk 'BEGIN {print "awk"}' >"$b/w"
is awk awk "$(cat "$a/w")"
touch "$a/empty" && [ -f "$b/empty" ] || fail "touch"
ino=$(stat -c %i "$a/f")

# Editors, moves, permissions.
echo 'the old word' >"$a/e"
sed -i 's/old/new/' "$a/e" || fail "sed -i: status $?"
is "sed -i" "the new word" "$(cat "$b/e")"
mv "$a/e" "$b/../a/e2" && is mv "the new word" "$(cat "$b/e2")"
mv "$b/f" "$b/g" && is "inode after mv" "$ino" "$(stat -c %i "$a/g")"
chmod 640 "$a/g" && is chmod 640 "$(stat -c %a "$b/g")"
setpriv=(setpriv --reuid 1234 --regid 1234 --clear-groups)
if [ "$(id -u)" = 0 ] && "${setpriv[@]}" true 2>/dev/null; then
    for how in '>>' '>' '1<>'; do # whoever else writes into a file takes its set-id bits away
        echo text >"$a/setid" && chmod 6777 "$a/setid"
        chmod 755 "$work" && "${setpriv[@]}" bash -c "echo x $how '$b/setid'" || fail "echo $how"
        is "set-id bits after $how" 777 "$(stat -c %a "$a/setid")"
    done
fi
touch -d '2001-02-03 04:05:06 UTC' "$a/g"
is "touch -d" 981173106 "$(stat -c %Y "$b/g")"
truncate -s 5 "$a/g" && is truncate 5 "$(stat -c %s "$b/g")"
ln -s g "$a/link" && is readlink g "$(readlink "$b/link")"
mkfifo "$a/fifo" && [ -p "$b/fifo" ] || fail mkfifo
ln "$a/g" "$a/hard" 2>/dev/null && fail "a hard link is not what this has yet"
mkdir "$a/d" "$a/d/e" && echo x >"$b/d/e/x"
rmdir "$a/d/e" 2>/dev/null && fail "rmdir of a directory with a file"
mkdir "$b/d" 2>/dev/null && fail "mkdir of what is there"
mv "$a/d" "$a/moved" || fail "mv of a directory: status $?"
is "moved directory" x "$(cat "$b/moved/e/x")"
[ -e "$b/d" ] && fail "the old directory is still there"
rm -r "$b/moved" && [ ! -e "$a/moved" ] || fail "rm -r"

# Many files: tar, cp, rsync-like comparison, listings.
mkdir "$a/tree" && tar -C /usr/include/linux -cf - . | tar -C "$a/tree" -xf - || fail "tar"
diff -r /usr/include/linux "$b/tree" >/dev/null || fail "tar: what is read differs"
is "names listed" "$(ls -a /usr/include/linux | wc -l)" "$(ls -a "$b/tree" | wc -l)"
sizes() { ls -ln --time-style=+%s "$1" | awk '/^-/ {print $1, $5, $6, $7}'; }
diff <(sizes /usr/include/linux) <(sizes "$b/tree") >/dev/null || fail "ls -l: sizes or times differ"
echo more >>"$a/tree/fs.h"
is "ls -l after a change elsewhere" "$(($(stat -c %s /usr/include/linux/fs.h) + 5))" \
    "$(sizes "$b/tree" | awk '$4 == "fs.h" {print $2}')"
cp -p /usr/include/linux/fs.h "$b/tree/fs.h"
ls -l "$a/.toystore" >/dev/null || fail "ls -l .toystore: status $?"
cp -a "$b/tree" "$b/copy" && diff -r "$a/tree" "$a/copy" >/dev/null || fail "cp -a"
is "find" "$(find /usr/include/linux -type f | wc -l)" "$(find "$a/copy" -type f | wc -l)"

# Large files, whole and changed in the middle.
head -c 9000000 /dev/urandom >"$work/big"
cp "$work/big" "$a/big" && cmp "$work/big" "$b/big" || fail "cp of 9 MB"
head -c 100000 /dev/urandom >"$work/part"
for file in "$work/big" "$b/big"; do
    dd if="$work/part" of="$file" bs=1000 seek=4321 conv=notrunc status=none || fail "dd in the middle"
    cat "$work/part" >>"$file"
done
cmp "$work/big" "$a/big" || fail "a changed large file differs"
cp "$work/part" "$b/big" && cmp "$work/part" "$a/big" || fail "a large file replaced by a smaller"
toystore --node "$(host 3):3001" put put/big <"$work/big" && cmp "$work/big" "$a/put/big" ||
    fail "toystore put of a large file"
toystore --node "$(host 3):3001" get big >"$work/got" && cmp "$work/got" "$work/part" ||
    fail "toystore get of a large file"
is "the sizes of toystore ls" "$(stat -c %s "$a/big" "$a/put/big" | xargs)" \
    "$( (ts 1 --json ls && ts 1 --json ls put) | sed -n 's/.*"big".*"size": \([0-9]*\).*/\1/p' | xargs)"
toystore --node "$(host 1):3001" put users/alice hi
is "a raw put in the mount" hi "$(cat "$a/users/alice")"
echo -n hi2 >"$b/users/bob"
is "a mount's file by a raw get" hi2 "$(ts 2 get users/bob)"

# git.
export HOME=$work GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
git init -q "$a/repo" && echo text >"$a/repo/file" && git -C "$a/repo" add file &&
    git -C "$a/repo" -c user.name=x -c user.email=x@y commit -qm first || fail "git commit"
is "git log" first "$(git -c safe.directory='*' -C "$b/repo" log --format=%s)"
git -c safe.directory='*' -C "$b/repo" fsck --strict >/dev/null 2>&1 || fail "git fsck"
is "git status" "" "$(git -c safe.directory='*' -C "$b/repo" status --short)"

# The control directory: not listed, and there.
ls -a "$a" | grep -q '^\.toystore$' && fail ".toystore is listed"
grep -q '"state"' "$a/.toystore/members" || fail ".toystore/members"
grep -q '"partition"' "$a/.toystore/locate/users%2Falice" || fail ".toystore/locate"
echo x 2>/dev/null >"$a/.toystore/x" && fail "a file in .toystore"
true
