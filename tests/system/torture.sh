#!/usr/bin/env bash
# torture.sh [SECONDS [SEED [NODES]]]: nodes are killed, paused, stopped, cut off in both directions
# or in one, parted from one other, killed all at once and started again; mounts are killed, paused
# and cut off; one more node joins, and later some node leaves the layout. All in an order that the
# seed draws, a minority of the nodes at a time, while torture_load.py writes and reads; then nothing
# acknowledged is missing anywhere.
# With three nodes and strict quorums every read is checked against what came before it; with five,
# puts may be sloppy, and what counts is that nothing is lost.
args=("$@")
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/net.sh"
seconds=${args[0]:-40} seed=${args[1]:-$((RANDOM * 32768 + RANDOM))} nodes=${args[2]:-3}
[ -z "${TOYSTORE_LONG:-}" ] || seconds=$((seconds * 15))
strict=0 options=()
[ "$nodes" -gt 3 ] || strict=1 options=(--strict-quorum)
echo "seed $seed, $nodes nodes, $seconds s"
RANDOM=$((seed % 32768))
net_begin || die "this kernel has no bridge or no veth: no network to torture"
for ((i = 1; i <= nodes + 1; i++)); do net_place "$i" "$i"; done
net_place ma 101
net_place mb 102
declare -A address=([ma]=101 [mb]=102) down=() faults=()

mount_it() { # NAME
    start_mount "$1" --seed "$(host 1)" --seed "$(host 2)" --host "$(host "${address[$1]}")" \
        "${options[@]}" -o timeout=20
    echo 0 >"$work/$1.gen"
}
start_cluster "$nodes" "${options[@]}"
mount_it ma
mount_it mb
mkdir "$work/ma/t" || die "mkdir"
hosts=()
for ((i = 1; i <= nodes; i++)); do hosts+=("$(host "$i")"); done
python3 -B "$(dirname "$0")/torture_load.py" "$strict" "$seed" "$seconds" "$work" "${hosts[@]}" &
pid_of[load]=$!

start_again() { start_node "$1" "${options[@]}"; }
count_fault() { faults[$1]=$((${faults[$1]:-0} + 1)); }

end_node() { # I
    local status
    stop_node "$1"
    status=$?
    # 143: told before it had opened its directory
    [ $status = 0 ] || [ $status = 143 ] || fail "node $1 did not end well: status $status"
    return 0
}
take_down() { # I, a node
    local other=$(($1 % nodes + 1)) kind=$((RANDOM % 8))
    case $kind in
    0 | 1) kill_node "$1" && down[$1]=killed ;;
    2) kill -STOP "${pid_of[$1]}" && down[$1]=paused ;;
    3) end_node "$1" && down[$1]=stopped ;;
    4) net_cut "$1" && down[$1]=cut ;;
    5) net_deaf "$1" && down[$1]=deaf ;;
    6) net_mute "$1" && down[$1]=mute ;;
    7) net_part "$1" "$other" && down[$1]="parted from $other" ;;
    esac
    count_fault "${down[$1]%% *}"
}
bring_back() { # I
    case ${down[$1]} in
    paused) kill -CONT "${pid_of[$1]}" ;;
    cut | deaf | mute) net_heal "$1" ;;
    parted*) net_join "$1" "${down[$1]##* }" ;;
    *) start_again "$1" ;;
    esac
    unset "down[$1]"
}
trouble_mount() { # NAME
    case $((RANDOM % 3)) in
    0)
        echo 1 >"$work/$1.gen"
        kill_node "$1"
        mount_it "$1"
        count_fault "mount killed"
        ;;
    1)
        kill -STOP "${pid_of[$1]}"
        sleep "1.$((RANDOM % 9))"
        kill -CONT "${pid_of[$1]}"
        count_fault "mount paused"
        ;;
    2)
        net_cut "$1"
        sleep "1.$((RANDOM % 9))"
        net_heal "$1"
        count_fault "mount cut"
        ;;
    esac
}

begin=$(now_ms) joined=0 left=0 leaver=0
end=$((begin + seconds * 1000))
while [ "$(now_ms)" -lt "$end" ]; do
    sleep "$((RANDOM % 2)).$((RANDOM % 9 + 1))"
    i=$((RANDOM % nodes + 1)) dice=$((RANDOM % 16))
    if [ $joined = 0 ] && [ $(($(now_ms) - begin)) -gt $((seconds * 400)) ]; then
        joined=1
        start_again $((nodes + 1))
        count_fault joined
    elif [ $joined = 1 ] && [ $left = 0 ] && [ $(($(now_ms) - begin)) -gt $((seconds * 650)) ]; then
        leaver=$((RANDOM % (nodes + 1) + 1)) # whoever is down does not answer: another one then
        [ -z "${down[$leaver]:-}" ] && ts $leaver leave --no-wait && left=1 && count_fault left
    elif [ -n "${down[$i]:-}" ]; then
        bring_back "$i"
    elif [ $dice = 0 ] && [ ${#down[@]} = 0 ]; then
        for ((i = 1; i <= nodes; i++)); do kill_node "$i"; done
        for ((i = 1; i <= nodes; i++)); do start_again "$i"; done
        count_fault "all killed"
    elif [ $dice -le 2 ]; then
        [ $dice = 1 ] && trouble_mount ma || trouble_mount mb
    elif [ ${#down[@]} -lt $(((nodes - 1) / 2)) ]; then
        take_down "$i"
    fi
done 2>>"$work/shell.log"
for i in "${!down[@]}"; do bring_back "$i"; done
[ $joined = 1 ] || fail "no node has joined"
if [ $left = 0 ]; then # whenever one was asked it was down, or did not know yet that others are well
    leaver=$((RANDOM % nodes + 1))
    asked_to_leave() { ts $leaver leave --no-wait; }
    wait_for 60 asked_to_leave || fail "node $leaver does not leave"
    left=1
    count_fault left
fi
for ((i = 1; i <= nodes + joined; i++)); do
    wait_for 60 settled "$i" $((nodes + joined - left)) || fail "node $i is not well again"
done
touch "$work/stop"
no_hints() { [ "$(ts "$1" status --json | json_number hints)" = 0 ]; }
for ((i = 1; i <= nodes + joined; i++)); do
    wait_for 60 no_hints "$i" || fail "node $i keeps its hints: $(ts "$i" status --json)"
done
has_left() { ts "$1" status --json | grep -q '"place": "left"' && [ "$(ts "$1" status --json | json_number keys)" = 0 ]; }
[ $left = 0 ] || wait_for 60 has_left $leaver || fail "node $leaver has not left: $(ts $leaver status --json)"
# Every member compares its partitions with the others' and reads all that it stores, chunks too.
whole() { ts $((leaver % nodes + 1)) repair >"$work/repair" 2>&1 && ! grep -qv ' 0 damaged' "$work/repair"; }
wait_for 60 whole || fail "not all copies are there and whole: $(cat "$work/repair")"
for ((i = nodes + 1; i <= nodes + joined; i++)); do host "$i"; done >"$work/new" && mv "$work/new" "$work/quiet"
wait "${pid_of[load]}" || fail "what was seen is wrong: torture.sh $seconds $seed $nodes"
unset "pid_of[load]"
for kind in "${!faults[@]}"; do echo "$kind ${faults[$kind]}"; done | sort | paste -s -d, | sed 's/,/, /g; s/^/faults: /'
