#!/usr/bin/env bash
# A mount is stopped, or cut off, until the others have retired its session, and goes on: a file that
# was half written arrives whole, open handles and new commands work, and what another mount did
# meanwhile stays. One of the owners is killed while it sleeps. A minute's silence is 6 s here.
. "$(dirname "$0")/lib.sh"
fast=(--probe-interval 100)
start_cluster 3 "${fast[@]}"
start_mount a --seed "$(host 1)" --host 127.0.0.21 "${fast[@]}"
start_mount b --seed "$(host 3)" --host 127.0.0.22 "${fast[@]}"

retired() { [ "$(ts "$1" status --json | json_number sessions_retired)" -ge "$2" ]; }
none_waits() { [ "$(ts "$1" status --json | json_number sessions_retiring)" = 0 ]; }
alive() { # I COUNT
    [ "$(ts "$1" status --json | json_number members_alive)" -ge "$2" ]
}
same() { cmp "$work/source" "$1"; }

head -c 9000000 /dev/urandom >"$work/source"
first=4000000

# Writes the first part, says so, and the rest when it is told to; another handle it only keeps open.
# Nobody else may have them: a process that ends flushes what it has inherited, and the mount sleeps.
half_write() { # NAME
    mkfifo "$work/go.$1"
    (
        exec 5>"$work/a/$1" 6>>"$work/a/open.$1"
        head -c $first "$work/source" >&5
        echo written >"$work/half.$1"
        read -r _ <"$work/go.$1"
        tail -c +$((first + 1)) "$work/source" >&5 && echo "held open" >&6
    ) &
    writer=$!
    pid_of[writer]=$writer
    wait_for 60 test -f "$work/half.$1" || die "half of $1 is not written"
}

# What the mount does when it is back, and what must be there.
goes_on() { # NAME
    echo "of a, back" >>"$work/a/lines.$1" || fail "$1: echo >> by the mount that was retired"
    [ "$(cat "$work/a/lines.$1")" = "$(printf '%s\n' "of a" "of b" "of a, back")" ] ||
        fail "$1: lines: $(cat "$work/a/lines.$1")"
    [ "$(cat "$work/a/taken.$1")" = "b has it" ] || fail "$1: what b did is not shown"
    echo go >"$work/go.$1"
    wait $writer || fail "$1: the writer of the half written file failed"
    unset "pid_of[writer]"
    same "$work/a/$1" || fail "$1: the half written file, in its own mount"
    wait_for 30 same "$work/b/$1" || fail "$1: the half written file, in the other mount"
    wait_for 30 grep -q "held open" "$work/b/open.$1" || fail "$1: what it wrote is not there"
    mkdir "$work/a/dir.$1" && mv "$work/a/lines.$1" "$work/a/dir.$1/lines" ||
        fail "$1: mkdir and mv by the mount that was retired"
    [ "$(tail -n 1 "$work/b/dir.$1/lines")" = "of a, back" ] || fail "$1: mv, in the other mount"
}

# $1: its name; $2: how many are retired then; the rest: what puts it to sleep, and what wakes it.
round() {
    local name=$1 count=$2 sleep=$3 wake=$4
    echo "of a" >"$work/a/lines.$name"
    echo "a has it" >"$work/a/taken.$name"
    half_write "$name"
    $sleep
    [ -z "${5:-}" ] || kill_node "$5"
    wait_for 60 retired 1 "$count" || fail "$name: the mount is not retired"
    echo "of b" >>"$work/b/lines.$name" || fail "$name: the other mount appends"
    echo "b has it" >"$work/b/taken.$name" || fail "$name: the other mount writes"
    $wake
    goes_on "$name"
    [ -z "${5:-}" ] || start_node "$5" "${fast[@]}"
    wait_for 30 settled 1 3 || fail "$name: the cluster is not whole"
    wait_for 40 none_waits 1 || fail "$name: a retirement waits"
    wait_for 40 alive 1 5 || fail "$name: not everybody is alive"
}

stop() { kill -STOP "${pid_of[a]}"; }
continue_it() { kill -CONT "${pid_of[a]}"; }
cut_off() { ip route add blackhole 127.0.0.21/32 table local; }
connect() { ip route del blackhole 127.0.0.21/32 table local; }

round stopped 1 stop continue_it
round owner 2 stop continue_it 2
round cut 3 cut_off connect

# Umount: it leaves, and both sessions end.
umount "$work/a" && wait "${pid_of[a]}"
unset "pid_of[a]"
wait_for 40 retired 3 4 || fail "a mount that has left is not retired"
for name in stopped owner cut; do
    same "$work/b/$name" || fail "$name, in the end"
done
true
