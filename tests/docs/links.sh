#!/usr/bin/env bash
# links.sh SOURCE: files and directories that the READMEs name (`like/this.c`, or linked) are there.
set -u
cd "$1" || exit 1
failures=0
for page in README.md node/README.md fs/README.md; do
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
[ $failures = 0 ]
