#!/usr/bin/env bash
# A disk that fails under a running node: first of a single node (puts are refused in words, gets go
# on, and when the disk is well so is the node), then of one of three (nobody else notices).
. "$(dirname "$0")/lib.sh"
export FAULTS_FILE=$work/fault
healthy() { rm -f "$FAULTS_FILE"; }

# start_failing I: node I, on a disk that FAULTS_FILE breaks.
start_failing() {
    FAULTS_DIRECTORY=$work/d$1 LD_PRELOAD=$BUILD/tests/system/libfaults.so start_node "$1"
}

start_failing 1
wait_for 20 settled 1 1 || die "node 1 does not come up"
put_keys 1 before 5
head -c 100000 /dev/urandom >"$work/value"
waits() { [ "$(grep -c "tried again until it is written" "$work/n1.log")" -gt "$1" ]; }
collected() { ts 1 status --json | grep -q '"tombstones": 0'; }
for fault in "write 5" "sync 5" "write 28"; do
    ts 1 put gone v && ts 1 rm gone || fail "a delete"
    waited=$(grep -c "tried again until it is written" "$work/n1.log")
    echo "$fault" >"$FAULTS_FILE"
    for value in small large; do
        if [ $value = small ]; then said=$(ts 1 put k v 2>&1); else said=$(ts 1 put k <"$work/value" 2>&1); fi
        status=$?
        # A put that is not durable may be acknowledged while only syncs fail.
        [ "${fault%% *}" = sync ] || [ "$status" != 0 ] || fail "$fault: a $value put is acknowledged"
        [ "$status" = 0 ] || [ -n "$said" ] || fail "$fault: a $value put fails without a word"
    done
    ts 1 collect >/dev/null 2>&1 # an epoch is to be noted: that waits, and nothing else does
    wait_for 20 waits "$waited" || fail "$fault: no word about what cannot be noted"
    check_keys 1 before 5
    kill -0 "${pid_of[1]}" || die "$fault: the node has ended"
    healthy
    wait_for 30 collected || fail "$fault: what was to be noted is not"
    wait_for 20 ts 1 put "after" "$fault" || fail "$fault: puts do not work again"
    ts 1 put large <"$work/value" || fail "$fault: large puts do not work again"
    ts 1 get large | cmp -s - "$work/value" || fail "$fault: get"
done
# A value that cannot be read is neither absent nor empty, and it is not damaged.
echo "read 5" >"$FAULTS_FILE"
ts 1 get large >"$work/got" 2>"$work/said"
status=$?
[ "$status" -ge 2 ] && [ ! -s "$work/got" ] && [ -s "$work/said" ] ||
    fail "a get that cannot read: status $status, $(wc -c <"$work/got") bytes"
healthy
readable() { ts 1 get large >/dev/null; }
wait_for 10 readable || fail "gets do not work again"
ts 1 get large | cmp -s - "$work/value" || fail "get after failing reads"
kill_node 1
start_failing 1
wait_for 20 settled 1 1 || die "node 1 does not come back"
check_keys 1 before 5
[ "$(ts 1 get after)" = "write 28" ] || fail "an acknowledged put is gone"

# The puts that failed may be made or not, but not be something else.
got=$(ts 1 get k 2>/dev/null | head -c 1 | wc -c)
[ "$got" -le 1 ] || fail "k"

start_node 2
start_node 3
for i in 1 2 3; do wait_for 30 settled "$i" 3 || die "node $i is not in the layout"; done
echo "write 5" >"$FAULTS_FILE"
put_keys 2 meanwhile 20
check_keys 3 meanwhile 20
healthy
holds() { ts 2 stat "$1" --json | grep -q '"node": *"n1"[^}]*"found": *true'; }
holds_all() {
    local n
    for ((n = 0; n < 20; n++)); do
        holds "meanwhile/$n" || { ts 2 stat "meanwhile/$n"; return 1; }
    done
}
wait_for 30 holds_all || fail "node 1 does not catch up"

# One of three that cannot read: the others' copies are as good.
ts 2 put large2 <"$work/value" || fail "large put"
echo "read 5" >"$FAULTS_FILE"
ts 1 get large2 | cmp -s - "$work/value" || fail "a get at a node that cannot read"
check_keys 1 meanwhile 20
healthy
wait_for 20 settled 1 3 || fail "node 1 is not well again"
