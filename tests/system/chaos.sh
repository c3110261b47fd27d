#!/usr/bin/env bash
# chaos.sh [SECONDS [SEED [NODES]]]: nodes are killed, paused, stopped, cut off and back in an order
# that the seed draws, a minority at a time and now and then all at once, while clients write; then
# nothing acknowledged is missing, and no condition had two winners (register_load.py).
args=("$@")
. "$(dirname "$0")/lib.sh"
seconds=${args[0]:-15} seed=${args[1]:-$((RANDOM * 32768 + RANDOM))} nodes=${args[2]:-3}
echo "seed $seed"
RANDOM=$((seed % 32768))
start_cluster "$nodes"
hosts=()
for ((i = 1; i <= nodes; i++)); do hosts+=("$(host "$i")"); done
python3 "$(dirname "$0")/register_load.py" "$work/stop" "$seed" "${hosts[@]}" &
pid_of[load]=$!

declare -A down=()
pick_up() { echo $((RANDOM % nodes + 1)); }
bring_back() { # I
    case ${down[$1]} in
    paused) kill -CONT "${pid_of[$1]}" ;;
    cut) uncut "$1" ;;
    *) start_node "$1" ;;
    esac
    unset "down[$1]"
}
take_down() { # I
    case $((RANDOM % 4)) in
    0) kill_node "$1" && down[$1]=killed ;;
    1) kill -STOP "${pid_of[$1]}" && down[$1]=paused ;;
    2) stop_node "$1" || fail "node $1 did not end well"; down[$1]=stopped ;;
    3) cut "$1" && down[$1]=cut ;;
    esac
}
end=$(($(now_ms) + seconds * 1000))
while [ "$(now_ms)" -lt "$end" ]; do
    sleep "$((RANDOM % 2)).$((RANDOM % 9 + 1))"
    i=$(pick_up)
    if [ -n "${down[$i]:-}" ]; then
        bring_back "$i"
    elif [ $((RANDOM % 8)) = 0 ] && [ ${#down[@]} = 0 ]; then
        for ((i = 1; i <= nodes; i++)); do kill_node "$i"; done
        for ((i = 1; i <= nodes; i++)); do start_node "$i"; done
    elif [ ${#down[@]} -lt $(((nodes - 1) / 2)) ]; then
        take_down "$i"
    fi
done 2>/dev/null
for i in "${!down[@]}"; do bring_back "$i"; done
for ((i = 1; i <= nodes; i++)); do
    wait_for 30 settled "$i" "$nodes" || fail "node $i is not well again"
done
touch "$work/stop"
wait "${pid_of[load]}" || fail "what clients saw is wrong: chaos.sh $seconds $seed $nodes"
unset "pid_of[load]"
