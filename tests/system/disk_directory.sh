#!/usr/bin/env bash
# Data directories that are not what they should be: refused in words, nothing made in their place.
# A disk that is not mounted, at the start or suddenly; a store of a newer version; a database that is
# gone, or only its CURRENT; a log with garbage at its end.
. "$(dirname "$0")/lib.sh"
refused() { # I WORDS [options]
    local said status
    said=$(timeout 20 toystored --data "$work/d$1" --host "$(host "$1")" --name "n$1" "${@:3}" 2>&1)
    status=$?
    [ "$status" != 0 ] && [ "$status" != 124 ] || fail "node $1 starts: $2"
    grep -q "$2" <<<"$said" || fail "no word of '$2': $said"
}
back() { # I KEYS
    start_node "$1"
    wait_for 20 settled "$1" 1 || die "node $1 does not come back"
    check_keys "$1" "$2" 10
}

# Not mounted.
mkdir "$work/disk1"
mount -t tmpfs -o size=64m tmpfs "$work/disk1" || die "no tmpfs"
ln -s disk1/data "$work/d1"
mkdir "$work/disk1/data"
start_node 1
wait_for 20 settled 1 1 || die "node 1 does not come up"
put_keys 1 k 10
stop_node 1
mount --move "$work/disk1" /mnt || die "the disk cannot be moved"
refused 1 "mounted at $work/disk1 and is not now"
mkdir "$work/disk1/data"
refused 1 "mounted at $work/disk1 and is not now" --seed "$(host 2)"
[ -z "$(ls -A "$work/disk1/data")" ] || fail "something was made in place of the disk"
rmdir "$work/disk1/data"
mount --move /mnt "$work/disk1"
back 1 k

# Suddenly not there: nothing is answered from an empty store.
mount --move "$work/disk1" /mnt
mkdir "$work/disk1/data"
for n in 1 2 3 4 5 6; do ts 1 put "away/$n" x 2>/dev/null; done
check_keys 1 k 10
[ ! -e "$work/disk1/data/db/CURRENT" ] || fail "an empty store was made in place of the disk"
kill_node 1
rm -rf "$work/disk1/data"
mount --move /mnt "$work/disk1"
back 1 k

# A newer version.
stop_node 1
for file in FORMAT CLUSTER; do
    cp "$work/d1/$file" "$work/saved"
    sed -i 's/^\(toystore \|\)1$/\177/' "$work/d1/$file"
    refused 1 "made by a newer toystore, in format 77; this one reads up to format 1"
    cp "$work/saved" "$work/d1/$file"
done
back 1 k

# The database is gone; then only the file that names its parts.
stop_node 1
mv "$work/d1/db" "$work/db"
refused 1 "CURRENT is missing, and all of the database"
[ ! -e "$work/d1/db/CURRENT" ] || fail "an empty database was made"
mv "$work/db" "$work/d1/db"
back 1 k
put_keys 1 late 10
kill_node 1

# What a disk may make of the end of a log.
log=$(ls "$work"/d1/db/*.log | tail -n 1)
head -c 300 /dev/urandom >>"$log"
start_node 1
wait_for 20 settled 1 1 || die "node 1 does not come back from garbage at the end of its log"
check_keys 1 k 10
check_keys 1 late 10
stop_node 1
rm "$work/d1/db/CURRENT"
start_node 1
wait_for 20 settled 1 1 || die "node 1 does not come back without CURRENT"
check_keys 1 k 10
check_keys 1 late 10
stop_node 1

# Somebody deletes it under a running node: within a second puts are refused, and the log says why.
toystored --data "$work/d8" --host "$(host 8)" 2>"$work/n8.log" &
pid_of[8]=$!
wait_for 20 settled 8 1 || die "node 8 does not come up"
rm -r "$work/d8"
put_fails() { ! ts 8 put k v; }
wait_for 20 put_fails || fail "puts are acknowledged though the data directory is gone"
grep -q "$work/d8: .*the directory is gone" "$work/n8.log" || fail "the log does not say what is gone"
stop_node 8

# A young node has all in its log, and a repair without CURRENT saves nothing of it: then no new
# cluster begins in its place, at this start or a later one, to say that there never was such a key.
toystored --data "$work/d9" --host "$(host 9)" 2>"$work/n9.log" &
pid_of[9]=$!
wait_for 20 settled 9 1 || die "node 9 does not come up"
ts 9 put k v || fail "put"
stop_node 9
rm "$work/d9/db/CURRENT"
refused 9 "has lost the identity of its node"
refused 9 "has lost the identity of its node"
umount "$work/disk1"
