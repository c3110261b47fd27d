#!/usr/bin/env bash
# A client that asks for more than a hundred megabytes and does not read: the node keeps a bounded
# part of it, serves the others, and is well when the client goes.
. "$(dirname "$0")/lib.sh"
start_cluster 1
head -c 30000 /dev/zero | tr '\0' x | ts 1 put large || die "put"
resident_kib() { awk '/VmRSS/ {print $2}' "/proc/${pid_of[1]}/status"; }

exec 7<>"/dev/tcp/$(host 1)/3001"
# 20,000 times [0, 1, "CoordinateGet", ["large"]]: 600 MB of answers.
request='\x94\x00\x01\xad''CoordinateGet\x91\xa5''large'
many=$(for ((n = 0; n < 500; n++)); do printf '%s' "$request"; done)
for ((n = 0; n < 40; n++)); do printf '%b' "$many"; done >&7 2>/dev/null &
pid_of[asker]=$!
worst=0
for ((n = 0; n < 30; n++)); do
    ts 1 put "k$n" v || fail "put k$n while a client does not read"
    now=$(resident_kib)
    [ "$now" -le "$worst" ] || worst=$now
    sleep 0.05
done
echo "resident: at most $((worst / 1024)) MiB"
[ "$worst" -lt 250000 ] || fail "the node keeps $worst KiB for a client that does not read"
kill -9 "${pid_of[asker]}" 2>/dev/null
unset "pid_of[asker]"
exec 7>&-
wait_for 10 settled 1 1 || fail "the node is not well"
[ "$(ts 1 get k7)" = v ] || fail "get"
