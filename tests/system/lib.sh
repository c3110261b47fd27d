# lib.sh: real nodes and real mounts for the system tests. Sourced first by each of them.
#
# A test runs in network, mount and process namespaces of its own: ports never clash, two runs do
# not see each other, and whatever it leaves behind (mounts, processes) ends with it.
# Needs BUILD, the build directory.

set -u
: "${BUILD:?BUILD must name the build directory}"
if [ -z "${TOYSTORE_IN_NAMESPACE:-}" ]; then
    map=()
    [ "$(id -u)" = 0 ] || map=(--map-root-user)
    TOYSTORE_IN_NAMESPACE=1 exec unshare "${map[@]}" --net --mount --propagation slave --pid \
        --fork --kill-child --mount-proc -- bash "$0" "$@"
fi
ip link set lo up

PATH=$BUILD/node:$BUILD/fs:$BUILD/fs/cli:$PATH
work=$(mktemp -d "${TMPDIR:-/tmp}/toystore-test.XXXXXX")
export XDG_STATE_HOME=$work/state # notes of where data directories were mounted
declare -A pid_of=() within=() # within[NODE or mount]: what runs its process somewhere else
failures=0

finish() {
    local status=$?
    trap - EXIT
    [ "$failures" = 0 ] || status=1
    if [ "$status" != 0 ]; then
        for log in "$work"/*.log; do
            [ -f "$log" ] && { echo "--- $(basename "$log") (end)"; tail -n 25 "$log"; }
        done
    fi
    local m
    for m in $(awk '{print $2}' /proc/mounts | grep -F "$work/" | sort -r); do
        umount -l "$m" 2>/dev/null
    done
    for p in "${pid_of[@]}"; do
        kill -CONT "$p" 2>/dev/null
        kill -9 "$p" 2>/dev/null
    done
    wait 2>/dev/null
    umount -l "$work"/d* 2>/dev/null # a test's small disk
    rm -rf "$work"
    exit "$status"
}
trap finish EXIT

fail() {
    echo "FAIL: $* (${BASH_SOURCE[1]##*/}:${BASH_LINENO[0]})"
    failures=$((failures + 1))
}

# A failure that makes going on pointless.
die() {
    echo "FAIL: $* (${BASH_SOURCE[1]##*/}:${BASH_LINENO[0]})"
    exit 1
}

now_ms() {
    local t=$EPOCHREALTIME
    echo $((${t%.*} * 1000 + 10#${t#*.} / 1000))
}

# wait_for SECONDS COMMAND...: until it succeeds; the last output is shown when it never does.
wait_for() {
    local end=$(($(now_ms) + $1 * 1000)) out
    shift
    while ! out=$("$@" 2>&1); do
        if [ "$(now_ms)" -ge "$end" ]; then
            echo "never came true: $*"
            echo "$out" | tail -n 5
            return 1
        fi
        sleep 0.05
    done
}

host() { echo "127.0.0.$(($1 + 1))"; } # node 1 is 127.0.0.2

# start_node I [options]: a storing node in $work/dI; node 1 founds, the others are seeded by it
# unless a --seed is given. TOYSTORED may name another build. Fast gossip, as fits the loopback.
start_node() {
    local i=$1 seed=()
    shift
    [ "$i" = 1 ] || [[ " $* " == *" --seed "* ]] || seed=(--seed "$(host 1)")
    ${within[$i]:-} "${TOYSTORED:-toystored}" --data "$work/d$i" --host "$(host "$i")" --name "n$i" --probe-interval 200 \
        --handoff-interval 200 "${seed[@]}" "$@" >>"$work/n$i.log" 2>&1 &
    pid_of[$i]=$!
}

kill_node() {
    kill -9 "${pid_of[$1]}"
    wait "${pid_of[$1]}" 2>/dev/null
    unset "pid_of[$1]"
}

stop_node() {
    kill -TERM "${pid_of[$1]}"
    wait "${pid_of[$1]}"
    local status=$?
    unset "pid_of[$1]"
    return $status
}

# Cuts a node off at the network: nothing can be sent to its address any more.
cut() { ip route add blackhole "$(host "$1")/32" table local; }
uncut() { ip route del blackhole "$(host "$1")/32" table local; }

# ts I COMMAND...: the command line, asking node I.
ts() {
    local i=$1
    shift
    toystore --node "$(host "$i"):3001" "$@"
}

# All of node I's partitions have their owners in one layout with that many members, held.
settled() { # I MEMBERS
    local status
    status=$(ts "$1" status --json)
    [ -n "$status" ] || return 1 # 1 is an answer, too: a member is missing
    [ "$(json_number layout_members <<<"$status")" = "$2" ] &&
        [ "$(json_number live_layouts <<<"$status")" = 1 ] &&
        [ "$(json_number partitions_unheld <<<"$status")" = 0 ]
}

json_number() { grep -o "\"$1\": *[0-9]*" | head -n 1 | grep -o '[0-9]*$'; }

# start_cluster COUNT [options]: nodes 1..COUNT, all of them in the layout.
start_cluster() {
    local count=$1 i
    shift
    start_node 1 "$@"
    wait_for 20 settled 1 1 || die "node 1 does not come up"
    for ((i = 2; i <= count; i++)); do
        start_node "$i" "$@"
    done
    for ((i = 1; i <= count; i++)); do
        wait_for 30 settled "$i" "$count" || die "node $i is not in the layout of $count"
    done
}

# put_keys I PREFIX COUNT, check_keys I PREFIX COUNT: values tell their keys.
put_keys() {
    local n
    for ((n = 0; n < $3; n++)); do
        ts "$1" put "$2/$n" "value of $2/$n" || fail "put $2/$n at node $1: status $?"
    done
}

check_keys() {
    local n got
    for ((n = 0; n < $3; n++)); do
        got=$(ts "$1" get "$2/$n") || fail "get $2/$n at node $1: status $?"
        [ "$got" = "value of $2/$n" ] || fail "get $2/$n at node $1: '$got'"
    done
}

# start_mount NAME [options]: $work/NAME, in the foreground of its own background process.
start_mount() {
    local name=$1
    shift
    mkdir -p "$work/$name" 2>/dev/null # a dead mount is there, and in the way of mkdir
    ${within[$name]:-} mount.toystore "$work/$name" -f --probe-interval 200 "$@" >>"$work/$name.log" 2>&1 &
    pid_of[$name]=$!
    wait_for 30 answers "$work/$name" || die "mount $name does not come up"
}
# A dead mount does not, and what is below it is no FUSE.
answers() { [ "$(stat -f -c %t "$1")" = 65735546 ]; }
