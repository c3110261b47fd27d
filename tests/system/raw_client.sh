#!/usr/bin/env bash
# A MessagePack-RPC client without any library of ours: bytes out, bytes in. What it puts is a file
# in the mount, and the other way round; what it does wrong is told in words.
. "$(dirname "$0")/lib.sh"
start_cluster 1
start_mount toy --seed "$(host 1)"
answer=$work/answer

# call BYTES...: one request on a connection of its own; the answer's bytes in $answer.
call() {
    exec 9<>"/dev/tcp/$(host 1)/3001" || die "no connection"
    printf "$@" >&9
    timeout 10 dd bs=65536 count=1 status=none <&9 >"$answer" || die "no answer"
    exec 9>&-
}
says() { grep -aqF -- "$1" "$answer" || fail "no \"$1\" in the answer: $(od -c "$answer" | head -n 8)"; }
says_bytes() {
    LC_ALL=C grep -aqP -- "$1" "$answer" || fail "no $1 in the answer: $(od -c "$answer" | head -n 8)"
}

# [0, 1, "CoordinatePut", ["users/alice", "hi"]] -> [1, 1, nil, {outcome: "OK", sloppy: false, context: ...}]
call '\x94\x00\x01\xadCoordinatePut\x92\xabusers/alice\xa2hi'
says_bytes '^\x94\x01\x01\xc0\x83\xa7outcome\xa2OK\xa6sloppy\xc2\xa7context\xc4'
[ "$(cat "$work/toy/users/alice")" = hi ] || fail "the mount does not show what was put"

echo from the mount >"$work/toy/users/bob"
call '\x94\x00\x02\xadCoordinateGet\x91\xa9users/bob'
says_bytes '\xa5found\xc3\xa5value\xc4\x0ffrom the mount'
says_bytes '\xa8siblings\x90\xa6sloppy\xc2'

call '\x94\x00\x03\xadCoordinateGet\x91\xc4\x04none'
says_bytes '\xa5found\xc2\xa5value\xc0\xa7context\xc4\x00'

call '\x94\x00\x04\xadCoordinatePut\x93\xabusers/alice\xa2no\x81\xa9if_absent\xc3'
says CONFLICT
call '\x94\x00\x05\xaeCoordinateList\x91\xa5users'
says_bytes '\xa4name\xa5alice'
says_bytes '\xa4name\xa3bob\xa4kind\xa4file\xa4size\x0f'
says_bytes '\xa4next\xc0'
call '\x94\x00\x06\xb0CoordinateDelete\x91\xabusers/alice'
says_bytes '\xa7outcome\xa2OK'
[ ! -e "$work/toy/users/alice" ] || fail "a deleted file is still in the mount"

call '\x94\x00\x07\xadCoordinateGet\x92\xa1k\x81\xa7quorums\x03'
says INVALID
says quorums
call '\x94\x00\x08\xadCoordinateGet\x91\xb3.toystore/layouts/1'
says RESERVED
call '\x94\x00\x09\xadCoordinatePut\x92\xa5users\xa2hi'
says IS-DIRECTORY
call '\x94\x00\x0a\xadCoordinatePut\x92\xabusers/bob/x\xa2hi'
says NOT-DIRECTORY
call '\x94\x00\x0b\xa4Grow\x90'
says NO-METHOD
call '\x94\x00\x0c\xa7Prepare\x90'
says INVALID
# Five bytes that ask for a hundred million values: the connection ends, the node goes on.
exec 9<>"/dev/tcp/$(host 1)/3001"
printf '\x94\x00\x0d\xadCoordinateGet\xdd\x05\xf5\xe1\x00' >&9
[ -z "$(timeout 10 cat <&9)" ] || fail "a bomb is answered"
exec 9>&-
call '\x94\x00\x0e\xadCoordinateGet\x91\xa9users/bob'
says "from the mount"

# A file in chunks is one value up to 1 MiB; beyond, its size is told.
head -c 500000 /dev/urandom >"$work/half"
cp "$work/half" "$work/toy/half" && cat "$work/half" "$work/half" "$work/half" >"$work/toy/large"
exec 9<>"/dev/tcp/$(host 1)/3001"
printf '\x94\x00\x0f\xadCoordinateGet\x91\xa4half' >&9
# 4 bytes of the frame, a map's head, found, true, "value", and the head of 500000 bytes stand before.
timeout 10 head -c 500023 <&9 | tail -c 500000 >"$answer"
exec 9>&-
cmp -s "$answer" "$work/half" || fail "a file in chunks does not come back whole"
call '\x94\x00\x10\xadCoordinateGet\x91\xa5large'
says TOO-LARGE
says 1500000
