#!/usr/bin/env bash
# What `meson install` puts in place: mount(8) and fstab find the helper, pkg-config and the shared
# library serve a program, the man pages are there. Installed over a file system of its own, which
# ends with the test.
. "$(dirname "$0")/lib.sh"
mkdir "$work/upper" "$work/lower"
mount -t tmpfs none "$work/upper"
for directory in usr etc; do
    mkdir -p "$work/upper/$directory.upper" "$work/upper/$directory.work"
    mount -t overlay overlay -o "lowerdir=/$directory,upperdir=$work/upper/$directory.upper,workdir=$work/upper/$directory.work" \
        "/$directory" || die "no overlay over /$directory"
done
meson install -C "$BUILD" --no-rebuild >"$work/install.log" 2>&1 || die "meson install: $(tail -n 3 "$work/install.log")"
ldconfig
mkdir "$work/mnt"

mount -t toystore none "$work/mnt" -o "data=$work/data" || die "mount -t toystore: status $?"
echo hello >"$work/mnt/greeting" || fail "write"
[ "$(cat "$work/mnt/greeting")" = hello ] || fail "read"
umount "$work/mnt" || fail "umount"

echo "none $work/mnt toystore data=$work/data,_netdev,nofail,x-systemd.automount 0 0" >>/etc/fstab
mounted() { mount "$work/mnt"; }
wait_for 20 mounted || die "mount by fstab"
[ "$(cat "$work/mnt/greeting")" = hello ] || fail "read after a remount by fstab"
umount "$work/mnt" || fail "umount"

mount -t toystore none "$work/mnt" -o "data=$work/data,no-such-option" 2>"$work/refused.log" && fail "an unknown option was taken"
grep -q no-such-option "$work/refused.log" || fail "the refusal does not name the option: $(cat "$work/refused.log")"

cp "$(dirname "$0")/example.c" "$work/example.c"
gcc "$work/example.c" -o "$work/program" $(PKG_CONFIG_PATH=$(dirname "$(find /usr/local -name toystore.pc)") pkg-config --cflags --libs toystore) ||
    fail "a program does not build against what was installed"
"$work/program" "$work/program-data" || fail "the program: status $?"
for page in mount.toystore.8 toystored.8 toystore.1 toystore-protocol.7 toystore-semantics.7; do
    [ -f "/usr/local/share/man/man${page##*.}/$page" ] || fail "no man page $page"
done
