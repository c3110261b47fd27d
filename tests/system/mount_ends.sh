#!/usr/bin/env bash
# How a mount ends: umount and SIGTERM publish what is open; kill -9 of everything loses nothing
# whose close returned, and leaves nothing that a new mount stumbles over; without a quorum a write
# fails, at the word that the shell looks at, inside its deadline.
. "$(dirname "$0")/lib.sh"
m=$work/m
up() { start_mount m --data "$work/data" "$@"; }
down() {
    umount "$m" && wait "${pid_of[m]}" || fail "the mount process ends with status $?"
    unset "pid_of[m]"
}

up
for n in $(seq 50); do echo "value $n" >"$m/small$n" || fail "echo $n"; done
head -c 3000000 /dev/urandom >"$work/big"
cp "$work/big" "$m/big"
kill -9 "${pid_of[m]}"
wait "${pid_of[m]}" 2>/dev/null
[ ! -e "$m/small1" ] || fail "the mount answers after its process was killed"
up
for n in $(seq 50); do [ "$(cat "$m/small$n")" = "value $n" ] || fail "small$n after kill -9"; done
cmp "$work/big" "$m/big" || fail "the large file after kill -9"

# While the kernel still knows the attributes of its root a dead mount is dead all the same.
for round in 1 2 3 4 5 6; do
    stat "$m" >/dev/null
    kill_node m
    up
done

# SIGTERM while a file is open with unpublished bytes.
exec 5>"$m/open"
dd if=/dev/zero bs=1000 count=3 status=none >&5
kill -TERM "${pid_of[m]}"
wait "${pid_of[m]}" || fail "SIGTERM: status $?"
exec 5>&-
up
[ "$(stat -c %s "$m/open")" = 3000 ] || fail "unpublished bytes are lost at SIGTERM"
down

# In the background: the exit status says that it works; a second one is refused.
mount.toystore "$m" --data "$work/data" || fail "mount in the background: status $?"
[ "$(cat "$m/small7")" = "value 7" ] || fail "the mount in the background does not answer"
mount.toystore "$m" --data "$work/data2" 2>"$work/error"
[ $? = 32 ] && grep -q already "$work/error" || fail "a second mount: $(cat "$work/error")"
umount "$m"

# Bad invocations: a message and the status of mount(8).
refused() { # STATUS WORD ARGUMENTS...
    local status=$1 word=$2 got
    shift 2
    timeout 60 mount.toystore "$@" >"$work/error" 2>&1
    got=$?
    [ "$got" = "$status" ] || fail "$*: status $got instead of $status: $(cat "$work/error")"
    grep -q -- "$word" "$work/error" || fail "$*: '$(cat "$work/error")' does not say $word"
}
refused 1 "mount point is missing"
refused 1 "no-such" "$m" --no-such-option
refused 1 "nonsense" none "$m" -o nonsense
refused 32 "does not exist" "$work/nowhere"
touch "$work/file"
refused 32 "not a directory" "$work/file"
mkdir -p "$work/full/x"
refused 32 "not empty" "$work/full"
refused 32 "below the mount point" "$m" --data "$m/data"
refused 32 "seed" "$m" --seed 127.0.0.9:7946 -o timeout=2
grep -q "waiting for a seed" "$work/error" || fail "no notice of a seed that does not answer"
refused 1 "takes no value" none "$m" -o strict-quorum=1
refused 1 "mount point is missing" ""
mount.toystore -h >/dev/null || fail "--help"
mount.toystore -s none "$m" -f -t toystore -o nonsense,rw || fail "mount -s: unknown words are an error"

# Called off while it waits for a seed: by a signal, or because who started it is gone.
mount.toystore "$m" -f --seed 127.0.0.9:7946 2>"$work/error" &
caller=$!
wait_for 10 grep -q "waiting for a seed" "$work/error" || fail "no notice in the foreground"
start=$(now_ms)
kill -TERM $caller && wait $caller
[ $? = 32 ] && grep -q "called off" "$work/error" || fail "called off: $(cat "$work/error")"
[ $(($(now_ms) - start)) -lt 5000 ] || fail "called off only after $(($(now_ms) - start)) ms"
mount.toystore "$m" --seed 127.0.0.9:7946 2>"$work/error" &
caller=$!
wait_for 10 grep -q "waiting for a seed" "$work/error" || fail "no notice before the background"
kill -TERM $caller && wait $caller
wait_for 5 eval '! pgrep -x mount.toystore >/dev/null' || fail "goes on without who started it"
mount.toystore none "$m" -s -n -v -f -o rw,_netdev,nofail,x-systemd.automount || fail "mount -f"
mountpoint -q "$m" && fail "a fake mount mounts"
mount.toystore none "$m" -o rw,noatime,data="$work/data" || fail "as fstab has it: status $?"
[ "$(cat "$m/small7")" = "value 7" ] || fail "the mount from fstab's words does not answer"
umount "$m"

# No quorum: two of three dead.
start_cluster 3
start_mount c --seed "$(host 1)" -o timeout=10
c=$work/c
echo before >"$c/f" || fail "echo with a quorum"
kill_node 2
kill_node 3
start=$(now_ms)
echo after 2>/dev/null >"$c/f" && fail "echo without a quorum succeeded"
echo new 2>/dev/null >"$c/g" && fail "echo into a new file without a quorum succeeded"
cp "$work/big" "$c/big" 2>/dev/null && fail "cp without a quorum succeeded"
mkdir "$c/d" 2>/dev/null && fail "mkdir without a quorum succeeded"
cat "$c/f" >/dev/null 2>"$work/error" && fail "cat without a quorum succeeded"
grep -q "No such file" "$work/error" && fail "a lost quorum reads as a missing file"
took=$(($(now_ms) - start))
[ $took -lt 60000 ] || fail "five failing commands took $took ms"
# A signal ends a command that waits, at once.
start=$(now_ms)
timeout -s KILL 1 cat "$c/f" >/dev/null 2>&1
[ $(($(now_ms) - start)) -lt 2500 ] || fail "a killed command waits on: $(($(now_ms) - start)) ms"
start_node 2
wait_for 30 eval "echo again >'$c/f'" || fail "writes do not work again with two of three"
[ "$(cat "$c/f")" = again ] || fail "read after the quorum is back: $(cat "$c/f")"
