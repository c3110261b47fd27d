#!/usr/bin/env bash
# What waits for a member that is away is shown: hints and tombstones in `status`, by whom they wait
# for, and under `stat KEY` which replica holds what and keeps what for whom; in text and as JSON,
# also after a restart.
. "$(dirname "$0")/lib.sh"

has() { # WHAT TEXT PATTERN...: each in the text
    local what=$1 text=$2 pattern
    shift 2
    for pattern in "$@"; do
        grep -Eq -- "$pattern" <<<"$text" || fail "$what lacks \"$pattern\": $text"
    done
}
hints() { [ "$(ts "$1" status --json | json_number hints)" "$2" "$3" ]; }

start_cluster 3 --partitions 64
put_keys 1 k 20
kill_node 3
for n in 0 1 2 3 4 5 6 7 8 9; do
    ts 1 put "k/$n" "new $n" || fail "put $n: $?"
    ts 2 rm "k/1$n" || fail "rm 1$n: $?"
done
sleep 1.1 # oldest_s counts whole seconds

# Every change of these twenty keys is kept by one owner or the other.
kept=0
for i in 1 2; do
    report=$(ts "$i" status --json)
    has "status" "$report" '"hints_for": \[\{"name": "n3", "id": "[0-9a-f]{16}", "reachable": false, "hints": [0-9]+, "oldest_s": [1-9]'
    has "status" "$report" '"tombstones": 10' '"tombstones_wait_for": \["n3"\]'
    kept=$((kept + $(json_number hints <<<"$report")))
    has "status in text" "$(ts "$i" status 2>/dev/null)" '^hints_for:' '^  n3 +[0-9a-f]{16} +no ' \
        '^tombstones +10' '^tombstones_wait_for +\["n3"\]'
done
[ "$kept" -ge 20 ] || fail "$kept hints for twenty changes"

# The key: two replicas have it, one of them keeps it for the third, which does not answer.
stat=$(ts 1 stat k/0 --json)
has "stat" "$stat" '"status": "OK"' '"ballot": "[0-9]' '"promised": "[0-9]' '"siblings": 0' \
    '"place": "register"' '"op": "[0-9a-f]{40}"' '"hints": \["n3"\]' '"fallbacks": \[\]' \
    '"node": "n3", "id": "[0-9a-f]{16}", "status": "[A-Z-]*", "hints": \[\]'
has "stat in text" "$(ts 2 stat k/0)" '^ *ballot +[0-9]' '^ *siblings +0' '^ *register ' '^ *hints +\["n3"\]'
has "stat of a deleted key" "$(ts 1 stat k/10 --json)" '"kind": "tombstone"'

# Whom hints wait for, and since when, outlives a restart.
kill_node 1
start_node 1 --seed "$(host 2)"
wait_for 30 settled 1 3 || die "node 1 does not come back"
has "status after a restart" "$(ts 1 status --json)" '"hints_for": \[\{"name": "n3", .*"oldest_s": [1-9]'

# It comes back, and nothing waits any more.
start_node 3 --seed "$(host 2)"
for i in 1 2; do wait_for 30 hints "$i" = 0 || fail "node $i keeps hints"; done
has "status" "$(ts 1 status --json)" '"hints_for": \[\]' '"tombstones_wait_for": \[\]'
grep -q '"hints": \["' <<<"$(ts 1 stat k/0 --json)" && fail "stat shows hints that are delivered"
[ "$(ts 3 get k/0)" = "new 0" ] || fail "node 3 did not get what it missed"

# Two of three owners dead: what stands in for them, and what was put without a majority, shows.
start_node 4
start_node 5
for i in 1 2 3 4 5; do wait_for 30 settled "$i" 5 || die "node $i is not in the layout of five"; done
owners=($(ts 1 locate k/0 --json | grep -o '"role": "owner", "id": "[0-9a-f]*", "name": "n[0-9]"' | grep -o '[0-9]"$' | tr -d '"'))
kill_node "${owners[1]}"
kill_node "${owners[2]}"
asked=${owners[0]}
ts "$asked" put k/0 sloppily || fail "put with two of three owners dead: $?"
stat=$(ts "$asked" stat k/0 --json)
has "stat" "$stat" '"siblings": 1' '"place": "sibling"' \
    "\"fallbacks\": \[\{\"node\": \"n[0-9]\", \"id\": \"[0-9a-f]{16}\", \"hints\": \[\"n(${owners[1]}|${owners[2]})\"\]"
has "stat in text" "$(ts "$asked" stat k/0)" '^ *siblings +1' '^ *sibling ' '^fallbacks:'
