#!/usr/bin/env bash
# What `meson install` puts in place is enough: a program is built against it with pkg-config, the
# library shows nothing but toystore_*, mount(8) finds its helper, and the manual pages are there.
. "$(dirname "$0")/lib.sh"
here=$(cd "$(dirname "$0")" && pwd)
root=$work/root
meson install -C "$BUILD" --no-rebuild --destdir "$root" >"$work/install.log" 2>&1 ||
    die "meson install fails"

one() { find "$root" -name "$1" | head -n 1; }
for name in toystored toystore mount.toystore libtoystore.so toystore.h store.h toystore.pc \
    toystored.8 mount.toystore.8 toystore.1 toystore-protocol.7 toystore-semantics.7; do
    [ -n "$(one "$name")" ] || fail "$name is not installed"
done
[ -L "$root/sbin/mount.toystore" ] || fail "mount -t toystore would not find /sbin/mount.toystore"

library=$(dirname "$(one libtoystore.so)")
others=$(nm -D --defined-only "$library/libtoystore.so" | awk '$2 != "A" {print $3}' |
    grep -v '^toystore_')
[ -z "$others" ] || fail "libtoystore.so shows $others"

export PKG_CONFIG_PATH=$library/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root
# shellcheck disable=SC2046
cc -std=c11 -Wall -Wextra -Werror "$here/example.c" -o "$work/example" \
    $(pkg-config --cflags --libs toystore) || die "the example does not build"
LD_LIBRARY_PATH=$library "$work/example" "$work/data" || fail "the example fails"
