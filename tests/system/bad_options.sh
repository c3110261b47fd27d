#!/usr/bin/env bash
# Options that are wrong, contradict each other or meet a world that does not fit: each is a message
# that names the option, an exit status that is not 0, and nobody who hangs or crashes.
. "$(dirname "$0")/lib.sh"

# refused STATUS WORDS COMMAND...: ends with that status and says those words.
refused() {
    local want=$1 words=$2 out status
    shift 2
    out=$(timeout 15 "$@" 2>&1)
    status=$?
    [ "$status" = "$want" ] || fail "$*: status $status, not $want: $out"
    grep -qF -e "$words" <<<"$out" || fail "$*: does not say '$words': $out"
}

refused 2 "--data DIR is needed" toystored
refused 2 "--data" toystored --data
refused 2 "--no-such-option" toystored --no-such-option
refused 2 "--write-quorum 3" toystored --data "$work/x" --replicas 2 --write-quorum 3
refused 2 "--rpc-port 70000" toystored --data "$work/x" --rpc-port 70000
refused 2 "--store sqlite" toystored --data "$work/x" --store sqlite
refused 2 "$work/none.conf" toystored --data "$work/x" --config "$work/none.conf"
echo 'replicas = many' >"$work/bad.conf"
refused 2 "replicas" toystored --data "$work/x" --config "$work/bad.conf"
refused 1 "--host 10.254.254.254" toystored --data "$work/x" --host 10.254.254.254
refused 1 "--host 0.0.0.0" toystored --data "$work/x" --host 0.0.0.0

mkdir "$work/foreign"
touch "$work/foreign/file"
refused 1 "not toystore's" toystored --data "$work/foreign"
refused 1 "Not a directory" toystored --data "$work/foreign/file"

start_cluster 1
refused 1 "--rpc-port 3001: address already in use" toystored --data "$work/y" --host "$(host 1)"
refused 1 "--gossip-port 7946: address already in use" \
    toystored --data "$work/y" --host "$(host 1)" --rpc-port 4001
refused 1 "is in use by process ${pid_of[1]}" toystored --data "$work/d1" --host "$(host 2)"
ts 1 put k v || fail "put"
stop_node 1 || fail "a clean stop ends with $?"
refused 1 'belongs to the cluster "toystore"' toystored --data "$work/d1" --cluster other
refused 2 "--store memory" toystored --data "$work/d1" --store memory
echo 99 >"$work/d1/FORMAT"
refused 1 "format 99" toystored --data "$work/d1"
echo 1 >"$work/d1/FORMAT"
start_node 1
wait_for 10 settled 1 1 || fail "the node does not come back"
[ "$(ts 1 get k)" = v ] || fail "the value is gone"

# What the cluster was founded with stays, and who asks for something else is told.
grep -q "was founded with" "$work"/*.log && fail "the founder is told what it was founded with"
stop_node 1
start_node 1 --replicas 5 --partitions 64 --write-quorum 1 --read-quorum 1
wait_for 10 settled 1 1 || fail "the node does not come back with other numbers"
for words in "--replicas 5 changes nothing: this cluster was founded with 3" \
    "--partitions 64 changes nothing: this cluster was founded with 1024" \
    "--write-quorum 1 changes nothing: this cluster was founded with 2" \
    "--read-quorum 1: gets through this node wait for 1 answers, not for the cluster's 2, and may"; do
    wait_for 5 grep -qF -e "$words" "$work"/*.log || fail "it does not say '$words'"
done

refused 2 "usage" toystore
refused 2 "no-such-command; see toystore --help" toystore no-such-command
refused 1 "" toystore --node "$(host 1):3001" get no/such/key
refused 1 "there is nothing under this key" toystore --node "$(host 1):3001" ls no/such
refused 1 "it is no directory" toystore --node "$(host 1):3001" ls k
refused 3 "" toystore --node "$(host 9):3001" get k
refused 2 "want HOST" toystore --node ":3001" get k
[ "$(toystore --node "$(host 1)" get k)" = v ] || fail "--node without a port"
refused 1 "-o locks: must be locks=local" mount.toystore "$work" -o locks=global
refused 1 "-o conflicts: must be conflicts=show" mount.toystore "$work" -o conflicts
