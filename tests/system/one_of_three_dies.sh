#!/usr/bin/env bash
# One node of three dies by kill -9, or is paused: reads and writes go on, none fails, none waits
# longer than 2 s; when it is back it holds everything.
. "$(dirname "$0")/lib.sh"
start_cluster 3
put_keys 1 before 30

go_on() { # PREFIX: puts and gets at nodes 1 and 2, each within 2 s
    local n start took worst=0
    for ((n = 0; n < 60; n++)); do
        start=$(now_ms)
        ts $((n % 2 + 1)) put "$1/$n" "value of $1/$n" || fail "put $1/$n: status $?"
        [ "$(ts $(((n + 1) % 2 + 1)) get "$1/$n")" = "value of $1/$n" ] || fail "get $1/$n"
        took=$(($(now_ms) - start))
        [ "$took" -le "$worst" ] || worst=$took
    done
    echo "$1: slowest put and get together $worst ms"
    [ "$worst" -le 4000 ] || fail "$1: a put and a get took $worst ms"
}

kill_node 3
go_on killed
check_keys 1 before 30
start_node 3
wait_for 30 settled 3 3 || fail "node 3 is not back"
check_keys 3 killed 60

kill -STOP "${pid_of[3]}"
go_on paused
kill -CONT "${pid_of[3]}"
wait_for 30 ts 3 get paused/59 || fail "node 3 does not answer"

# It holds everything itself: its own replica shows a version of each key.
holds() { ts 3 stat "$1" --json | tr '}' '\n' | grep '"node": "n3"' | grep -q '"found": true'; }
holds_all() {
    local n
    for ((n = 0; n < 60; n++)); do
        holds "killed/$n" || { echo "killed/$n is missing"; return 1; }
        holds "paused/$n" || { echo "paused/$n is missing"; return 1; }
    done
}
wait_for 30 holds_all || fail "node 3 does not hold all that was written meanwhile"
