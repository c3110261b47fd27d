#!/usr/bin/env bash
# power_loss.sh [SEED]: machines lose power: of their disks only what was synced is left, and torn
# pieces of the rest. One of three: nothing acknowledged is lost. All at once: what was put durably,
# or what fsync returned for, is there; what was merely acknowledged is there whole, or not at all.
args=("$@")
. "$(dirname "$0")/lib.sh"
seed=${args[0]:-$RANDOM}
echo "seed $seed"
touch "$work/probe"
setfattr() { python3 -c "import os, sys; os.setxattr(sys.argv[1], 'user.synced', b'0')" "$1"; }
setfattr "$work/probe" 2>/dev/null || { echo "no extended attributes in $work"; exit 77; }

# Each node on a machine of its own, with a boot id of its own.
start_powered() { # I
    FAULTS_POWER=1 FAULTS_DIRECTORY=$work/d$1 LD_PRELOAD=$BUILD/tests/system/libfaults.so \
        start_node "$1" "${@:2}"
}
new_boot() {
    cat /proc/sys/kernel/random/uuid >"$work/boot_id"
    umount /proc/sys/kernel/random/boot_id 2>/dev/null
    mount --bind "$work/boot_id" /proc/sys/kernel/random/boot_id || die "no boot id"
}
lose_power() { # I...
    local i
    for i in "$@"; do kill -9 "${pid_of[$i]}"; done
    for i in "$@"; do wait "${pid_of[$i]}"; unset "pid_of[$i]"; done 2>/dev/null
    python3 -B "$(dirname "$0")/power_loss.py" "$seed" "${@/#/$work/d}"
    seed=$((seed + 1))
    new_boot
}
# put_values PREFIX COUNT DURABLE: at any node, small ones and some of 50000 bytes.
put_values() {
    python3 -B - "$(dirname "$0")" "$@" <<'END' || fail "puts of $1"
import sys
sys.path.insert(0, sys.argv[1])
from register_load import Client
clients = [Client('127.0.0.%d' % (node + 2)) for node in range(3)]
for n in range(int(sys.argv[3])):
    key = '%s/%d' % (sys.argv[2], n)
    value = ('value of %s ' % key).encode() * (3000 if n % 10 == 0 else 1)
    result, status = clients[n % 3].call('CoordinatePut', key, value, {'durable': True} if sys.argv[4] == '1' else {})
    if status or result['outcome'] != 'OK':
        sys.exit('%s: %s %s' % (key, status, result))
END
}
# check_values PREFIX COUNT NEEDED: each at each node; whole, or, unless NEEDED, not at all.
check_values() {
    python3 -B - "$(dirname "$0")" "$@" <<'END' || fail "values of $1"
import sys
sys.path.insert(0, sys.argv[1])
from register_load import Client, as_bytes
wrong = gone = 0
for node in range(3):
    client = Client('127.0.0.%d' % (node + 2))
    for n in range(int(sys.argv[3])):
        key = '%s/%d' % (sys.argv[2], n)
        value = ('value of %s ' % key).encode() * (3000 if n % 10 == 0 else 1)
        got, status = client.call('CoordinateGet', key, {})
        if not status and not got['found']:
            gone += 1
        elif status or as_bytes(got['value']) != value:
            wrong += 1
            print('node %d, %s: %s' % (node + 1, key, status or as_bytes(got['value'])[:40]))
print('%s: %d gone' % (sys.argv[2], gone))
sys.exit(wrong > 0 or (gone > 0 and sys.argv[4] == '1'))
END
}
# What is in the log of a node has reached its disk.
log_synced() {
    find "$work/d$1" -name '*.log' -exec python3 -c 'import os, sys
for name in sys.argv[1:]:
    if int(os.getxattr(name, "user.synced")) < os.stat(name).st_size:
        sys.exit(1)' {} +
}
well() { for i in 1 2 3; do wait_for 40 settled "$i" 3 || die "node $i is not well again"; done; }

new_boot
start_powered 1
wait_for 20 settled 1 1 || die "node 1 does not come up"
start_powered 2
start_powered 3
well
put_values first 60 0
lose_power 3
start_powered 3
well
check_values first 60 1
put_values second 60 0
lose_power 1
start_powered 1
well
check_values first 60 1
check_values second 60 1

start_mount m --seed "$(host 1)" --seed "$(host 2)"
head -c 700000 /dev/urandom >"$work/large"
put_values durable 60 1
put_values again 60 1
dd if="$work/large" of="$work/m/large" bs=64k conv=fsync status=none || fail "dd with fsync"
put_values again 60 0 # what replaces something durable, and is not durable itself
put_values last 60 0
for i in 1 2 3; do wait_for 20 log_synced "$i" || fail "the log of node $i is not synced"; done
put_values final 60 0
lose_power 1 2 3
for i in 1 2 3; do start_powered "$i"; done
well
check_values durable 60 1
check_values again 60 1
check_values last 60 0
check_values final 60 0
wait_for 20 cmp "$work/large" "$work/m/large" || fail "what was fsynced is not there"
put_values after 10 0
check_values after 10 1
umount "$work/m"
