#!/usr/bin/env bash
# Value files on one node's disk that are cut short, changed or gone: readers get the whole value
# from another replica, and the damaged copy is made good again.
. "$(dirname "$0")/lib.sh"
start_cluster 3
head -c 700000 /dev/urandom >"$work/value"
ts 1 put dir/file <"$work/value" || die "put: status $?"

value_files() { find "$work/d$1/values" -type f | sort; }
whole() { [ "$(value_files "$1" | wc -l)" -ge 3 ]; }
wait_for 10 whole 2 || die "node 2 has no copies"

stop_node 2
mapfile -t files < <(value_files 2)
truncate -s 1000 "${files[0]}"
printf 'X' | dd of="${files[1]}" bs=1 seek=70000 conv=notrunc status=none
rm "${files[2]}"
start_node 2
wait_for 20 settled 2 3 || die "node 2 does not come back with damaged values"
for i in 2 1 3; do
    ts "$i" get dir/file | cmp -s - "$work/value" || fail "node $i does not give the whole value"
done

# The replaced copy is a new file; the cut one goes with the next sync.
healed() {
    local f
    while read -r f; do
        [ "$(stat -c %s "$f")" != 1000 ] || return 1
    done < <(value_files 2)
    whole 2
}
wait_for 60 healed || fail "the damaged copies are not made good"
