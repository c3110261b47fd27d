#!/usr/bin/env bash
# The example of the embedding API, on a data directory that goes afterwards.
set -u
data=$(mktemp -d "${TMPDIR:-/tmp}/toystore-example.XXXXXX")
"$EXAMPLE" "$data"
status=$?
rm -rf "$data"
exit $status
