#!/usr/bin/env bash
# Bits that flip in one node's database itself: what it cannot read it takes from the others; when a
# compaction meets the damage, and nothing could be written any more, it copies what can be read to
# a new database, by itself. Alone, it says which files are damaged, and keeps all the others.
. "$(dirname "$0")/lib.sh"

write_files() { # DIRECTORY FROM TO
    python3 - "$@" <<'PYTHON'
import os, sys
for i in range(int(sys.argv[2]), int(sys.argv[3])):
    open('%s/f%d' % (sys.argv[1], i), 'wb').write(os.urandom(6000))
PYTHON
}
sums() { (cd "$1" && sha256sum f*) >"$work/sums"; }
tables() { find "$1/db" -name '*.sst' -size +100k; }
damage() { # DATA
    local table size part
    [ -n "$(tables "$1")" ] || die "no tables in $1"
    for table in $(tables "$1"); do
        size=$(stat -c %s "$table")
        for part in 1 2 3; do
            printf 'flipped!' | dd of="$table" bs=1 seek=$((size * part / 5)) conv=notrunc status=none
        done
    done
}

start_cluster 3
mkdir "$work/m"
mount.toystore "$work/m" --seed "$(host 1)" --probe-interval 200 || die "mount"
mkdir "$work/m/d"
write_files "$work/m/d" 0 1500 || die "writing"
stop_node 2
start_node 2 # the log is read back into tables
wait_for 30 settled 2 3 || die "node 2 does not come back"
stop_node 2
damage "$work/d2"
start_node 2
wait_for 60 settled 2 3 || die "node 2 does not come back with a damaged database"

# What is written over and over makes RocksDB compact.
begun_again() { grep -q 'saving what can be saved' "$work/n2.log"; }
for ((round = 0; round < 30; round++)); do
    write_files "$work/m/d" 0 700 || fail "writing while node 2 is damaged"
    ! begun_again || break
done
begun_again || fail "no compaction met the damage"
wait_for 60 settled 2 3 || fail "node 2 does not come back"
sums "$work/m/d"
ts 1 repair >"$work/repair" || fail "repair: $?"
wait_for 30 grep -q 'n2: 1024 partitions compared, 0 wait' "$work/repair" || fail "node 2 is not compared"
[ -d "$work/d2/db.damaged" ] && [ ! -e "$work/d2/db.is-damaged" ] || fail "$(ls "$work/d2")"

# Node 2 has all of it: with another owner it serves every file.
kill_node 1
(cd "$work/m/d" && sha256sum --quiet -c "$work/sums") || fail "files differ"
kill_node 3
stop_node 2

# A node alone, whose tokens say what is lost.
mkdir "$work/alone"
mount.toystore "$work/alone" --data "$work/d9" --host 127.0.0.20 || die "mount alone"
mkdir "$work/alone/d"
write_files "$work/alone/d" 0 1500
sums "$work/alone/d"
umount "$work/alone"
mount.toystore "$work/alone" --data "$work/d9" --host 127.0.0.20 || die "mount alone again"
umount "$work/alone"
wait_for 10 flock -n "$work/d9/LOCK" true || die "the mount does not end"
damage "$work/d9"
touch "$work/d9/db.is-damaged" # as a compaction leaves it
mount.toystore "$work/alone" --data "$work/d9" --host 127.0.0.20 || die "mount of what is damaged"
[ "$(ls "$work/alone/d" | wc -l)" = 1500 ] || fail "$(ls "$work/alone/d" | wc -l) names of 1500"
lost=0
while read -r sum name; do
    if now=$(sha256sum "$work/alone/d/$name" 2>"$work/error"); then
        [ "${now%% *}" = "$sum" ] || fail "$name is another"
    else
        grep -q 'Input/output error' "$work/error" || fail "$name: $(cat "$work/error")"
        lost=$((lost + 1))
        toystore --node 127.0.0.20:3001 rm "d/$name" || fail "rm of a damaged file: $?"
    fi
done <"$work/sums"
[ "$lost" -gt 0 ] && [ "$lost" -lt 100 ] || fail "$lost of 1500 files are damaged"
rm "$work/alone/d/"* && rmdir "$work/alone/d" || fail "the rest cannot be removed"
