#!/usr/bin/env bash
# `toystore ring --plan` says what a removal, a weight, a zone and a join would move, changes nothing,
# and is right: what happens then is what it said. `ring` says why zones are not as one might wish.
. "$(dirname "$0")/lib.sh"

report() { ts "$@" --json | python3 -c 'import json, sys; print(json.dumps(json.load(sys.stdin)))'; }
of() { python3 -c 'import json, sys; r = json.load(sys.stdin); print(eval(sys.argv[1]))' "$1"; }
# NAME=PARTITIONS of each member, in one line: as planned, as it is.
planned() { of "' '.join(sorted(m['name'] + '=' + str(m['will_own']) for m in r['members'] if m['will_own']))"; }
owned() { report 1 ring | of "' '.join(sorted(m['name'] + '=' + str(m['owns']) for m in r['layouts'][-1]['members']))"; }
is_so() { [ "$(owned)" = "$1" ]; }
calm() { ts 1 status --wait 0 >/dev/null 2>&1; }

start_node 1 --partitions 64 --zone east
wait_for 20 settled 1 1 || die "node 1 does not come up"
start_node 2 --zone east
start_node 3 --zone west
start_node 4 --zone west
for i in 1 2 3 4; do wait_for 30 settled "$i" 4 || die "node $i is not in the layout of four"; done
put_keys 1 k 60
wait_for 20 calm || die "it does not come to rest"

why=$(report 2 ring | of "' | '.join(r['layouts'][-1]['why'])")
[[ $why == *"3 copies in 2 zones"* ]] || fail "two zones for three copies are not explained: $why"
[[ $why == *"without zone east"* && $why == *"without zone west"* ]] || fail "which zone matters is not said: $why"
ts 1 ring | grep -q '^ *3 copies in 2 zones' || fail "ring says nothing in words: $(ts 1 ring)"

# Nothing is changed by asking, and what cannot be is refused.
before=$(owned)
for plan in "leave" "remove n2" "join" "join 200 north" "weight n1 400" "zone n1 north" "zone n1"; do
    report 3 ring --plan $plan >"$work/plan" || fail "ring --plan $plan: $?"
    grep -q '"members_silent": 0' "$work/plan" || fail "ring --plan $plan: $(cat "$work/plan")"
done
[ "$(owned)" = "$before" ] || fail "asking has moved something"
for plan in "remove nobody" "weight n1 0" "weight n1" "dance"; do
    ts 1 ring --plan $plan >/dev/null 2>&1 && fail "ring --plan $plan is taken"
done
ts 1 ring --plan >/dev/null 2>&1 && fail "a plan of nothing is taken"
ts 1 ring n1 >/dev/null 2>&1 && fail "ring takes words without --plan"

# A member more in a third zone: each zone has a copy then.
joined=$(report 1 ring --plan join 100 north)
[ "$(of "r['why']" <<<"$joined")" = "['a newcomer owns 64 partitions where its weight is worth 38: few other members stand in zone north, and each zone takes a copy first']" ] ||
    fail "a third zone: $(of "r['why']" <<<"$joined")"
[ "$(of "[m['takes'] for m in r['members'] if m['id'] == '-']" <<<"$joined")" = "[64]" ] || fail "$joined"
keys=$(of "r['keys_moving']" <<<"$joined") bytes=$(of "r['bytes_moving']" <<<"$joined")
[ "$keys" = 61 ] || fail "$keys keys would move to a member that takes everything, not 60 and a directory"
[ "$bytes" -gt $((keys * 20)) ] && [ "$bytes" -lt $((keys * 1000)) ] || fail "$bytes bytes of $keys keys"

# What is planned is what happens: a weight, a zone, a removal.
plan=$(report 1 ring --plan weight n2 300 | planned)
stop_node 2
start_node 2 --zone east --weight 300
wait_for 30 is_so "$plan" || fail "weight: planned $plan, is $(owned)"
plan=$(report 1 ring --plan zone n3 north | planned)
stop_node 3
start_node 3 --zone north
wait_for 30 is_so "$plan" || fail "zone: planned $plan, is $(owned)"
report 1 ring | grep -q '"zone": "north"' || fail "the zone is not in the ring"
for i in 1 2 3 4; do wait_for 30 settled "$i" 4 || fail "node $i is not settled"; done
wait_for 20 calm || fail "it does not come to rest after a zone change"
check_keys 3 k 60
plan=$(report 1 ring --plan remove n4)
took=$(of "sum(m['takes_keys'] for m in r['members'])" <<<"$plan")
keys_of_three() { echo $(($(ts 1 status --json | json_number keys) + $(ts 2 status --json | json_number keys) + $(ts 3 status --json | json_number keys))); }
had=$(keys_of_three 2>/dev/null)
ts 1 remove n4 >/dev/null || fail "remove: $?"
is_so "$(planned <<<"$plan")" || fail "remove: planned $(planned <<<"$plan"), is $(owned)"
wait_for 20 calm
has=$(keys_of_three 2>/dev/null)
[ $((has - had)) = "$took" ] || fail "$took keys were to be taken, $((has - had)) were"
check_keys 2 k 60
