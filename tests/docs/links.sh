#!/usr/bin/env bash
# links.sh SOURCE: files and directories that the READMEs name (`like/this.c`, or linked) are there,
# and the sections of the protocol that the sources cite.
set -u
cd "$1" || exit 1
failures=0
for page in README.md node/README.md node/PROTOCOL.md fs/README.md; do
    here=$(dirname "$page")
    names=$({
        grep -oE '\]\([^)#: ]+\)' "$page" | sed 's/^](\(.*\))$/\1/'
        grep -oE '`(\./)?(fs|node|tests|include|man|core|wire|io|base)/[A-Za-z0-9_./-]*`' "$page" | tr -d '`'
    } | sort -u)
    for name in $names; do
        [ -e "$here/$name" ] || [ -e "$name" ] || {
            echo "$page names $name, which is not there"
            failures=$((failures + 1))
        }
    done
done
for section in $(grep -rhoE 'PROTOCOL [0-9]+' fs node tests include | sort -u | cut -d' ' -f2); do
    grep -q "^## $section\. " node/PROTOCOL.md || {
        echo "the sources cite PROTOCOL $section, which is not in node/PROTOCOL.md"
        failures=$((failures + 1))
    }
done
[ $failures = 0 ]
