#!/usr/bin/env bash
# A mount is killed while it writes large files: the disk space of what it had not published comes
# back once its session is retired and swept, and what it had published stays. One that stores
# nothing is retired by the members, one that has a store of its own by itself when it is there again.
# What it had replaced of an earlier session's, and not yet deleted, a repair frees.
# Five minutes of silence are 15 s here.
. "$(dirname "$0")/lib.sh"
fast=(--probe-interval 50)
start_cluster 3 "${fast[@]}"
start_mount a --seed "$(host 1)" "${fast[@]}"
start_mount b --seed "$(host 2)" "${fast[@]}"
directory=d1
used() { du -sm "$work/$directory" | awk '{print $1}'; }
at_least() { [ "$(used)" -ge "$1" ]; }
at_most() { [ "$(used)" -le "$1" ]; }
swept() { # in all
    local i sum=0
    for i in 1 2 3; do
        sum=$((sum + $(ts $i status --json | json_number chunks_swept)))
    done
    [ $sum -ge "$1" ]
}
head -c 30000000 /dev/urandom >"$work/one"
head -c 40000000 /dev/urandom >"$work/two"
cp "$work/one" "$work/a/kept" || fail "cp"
cp "$work/one" "$work/a/replaced" || fail "cp"
sync "$work/a/kept"
before=$(used)

# What replaces a file is published at close, which never comes: a flush is one, too, so one process
# does it all. It is killed with its mount in the middle.
kill_while_writing() { # MOUNT SIZE-NOW: the space of "used" in between
    python3 - "$work" "$1" <<'END' &
import os, signal, sys
work, mount = sys.argv[1:]
file = os.open(f"{work}/{mount}/replaced", os.O_WRONLY | os.O_TRUNC)
with open(work + "/two", "rb") as two:
    while piece := two.read(1 << 20):
        os.write(file, piece)
open(f"{work}/half-{mount}", "w").close()
signal.pause()
END
    writer=$!
    pid_of[writer]=$writer
    wait_for 60 test -f "$work/half-$1" || die "nothing is written"
    wait_for 20 at_least $(($2 + 20)) || fail "the chunks are not there: $2, $(used) MiB"
    kill -9 "${pid_of[$1]}" "$writer"
    wait "${pid_of[$1]}" "$writer" 2>/dev/null
    unset "pid_of[$1]" "pid_of[writer]"
    umount -l "$work/$1" 2>/dev/null
}
kill_while_writing a "$before"

wait_for 120 swept 80 || fail "what the killed mount left is not swept: $(ts 1 status --json | grep _swept)"
wait_for 30 at_most $((before + 8)) || fail "$(used) MiB are used, $before before"
cmp "$work/one" "$work/b/kept" || fail "a file that the killed mount had published"
cmp "$work/one" "$work/b/replaced" || fail "the old version of the file that it was replacing"

# The living are not touched, nor those that come after.
cp "$work/two" "$work/b/mine" && cmp "$work/two" "$work/b/mine" || fail "a file of the other mount"
start_mount a --seed "$(host 3)" "${fast[@]}"
cmp "$work/one" "$work/a/kept" && cmp "$work/one" "$work/a/replaced" || fail "from a new mount"

# A mount with a store of its own, alone.
directory=alone-data
start_mount alone --data "$work/alone-data" --host "$(host 20)" "${fast[@]}"
cp "$work/one" "$work/alone/kept" && cp "$work/one" "$work/alone/replaced" || fail "cp to the mount that stores"
sync "$work/alone/kept"
before=$(used)
kill_while_writing alone "$before"
start_mount alone --data "$work/alone-data" --host "$(host 20)" "${fast[@]}"
wait_for 120 at_most $((before + 8)) || fail "its own store: $(used) MiB are used, $before before"
cmp "$work/one" "$work/alone/kept" && cmp "$work/one" "$work/alone/replaced" || fail "what it had published"

# What an earlier process of it had written, and this one replaced but was killed before it deleted
# the chunks: a repair finds it.
cp "$work/two" "$work/alone/kept" || fail "cp over a file of the process before"
before=$(used)
kill -9 "${pid_of[alone]}"
wait "${pid_of[alone]}" 2>/dev/null
umount -l "$work/alone" 2>/dev/null
start_mount alone --data "$work/alone-data" --host "$(host 20)" "${fast[@]}"
node=$(sed -n 's/.*"rpc_port": *\([0-9]*\).*/\1/p' "$work/alone/.toystore/members" | head -n 1)
freed() { # a repair also takes what is retired by then
    toystore --node "$(host 20):$node" repair >"$work/repair.log" 2>&1 && at_most $((before - 24))
}
wait_for 120 freed || fail "after a repair $(used) MiB are used, $before before: $(cat "$work/repair.log")"
cmp "$work/two" "$work/alone/kept" && cmp "$work/one" "$work/alone/replaced" || fail "after the repair"
true
