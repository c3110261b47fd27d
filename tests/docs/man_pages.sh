#!/usr/bin/env bash
# man_pages.sh SOURCE: the man pages are well-formed, and say what the tables say: every option,
# every status with its meaning, every method; and no option that does not exist.
set -u
cd "$1" || exit 1
failures=0
fail() {
    echo "$*"
    failures=$((failures + 1))
}

for page in man/*.[178]; do
    mandoc -T lint -W warning "$page" || fail "$page: mandoc complains"
    grep -q "'${page#man/}'" man/meson.build || fail "$page is not installed"
done

options=$(sed -n 's/^OPTION([a-z_]*, "\([a-z-]*\)",.*/\1/p' include/toystore/options.def)
[ -n "$options" ] || fail "options.def: no options found"
for page in man/toystored.8 man/mount.toystore.8; do
    for option in $options config; do
        grep -qE "^\.It Fl -$option( |$)" "$page" || fail "$page: --$option is missing"
    done
    for option in $(sed -n 's/^\.It Fl -\([a-z-]*\).*/\1/p' "$page"); do
        grep -qx "$option" <<<"$options
config" || fail "$page: there is no --$option"
    done
done

protocol=man/toystore-protocol.7
while IFS='|' read -r word meaning; do
    grep -Fx -A 1 ".It $word" $protocol | grep -Fxq "$meaning" ||
        fail "$protocol: status $word, \"$meaning\", is missing"
done < <(sed -n 's/^STATUS([A-Z_]*, [0-9]*, "\([A-Z-]*\)", "\(.*\)")$/\1|\2/p' \
    include/toystore/status.def)
for method in $(sed -n 's/^ *M([A-Z_]*, "\([A-Za-z]*\)".*/\1/p' node/wire/messages.def); do
    grep -qE "^\.It Cm $method( |$)" $protocol || fail "$protocol: method $method is missing"
done

for command in $(sed -n 's/^    {"\([a-z]*\)", run_.*/\1/p' fs/cli/toystore.c); do
    grep -qE "^\.It Cm $command( |$)" man/toystore.1 || fail "toystore.1: $command is missing"
done
[ $failures = 0 ]
