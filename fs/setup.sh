# setup.sh: what fs/quickstart and tests/run share: packages and builds. Sourced by both, with
# `top` the directory of the project.

# Says why and ends the script.
setup_die() {
    echo "${0##*/}: $*" >&2
    exit 1
}

# missing_packages [test]: names out of fs/packages that are not installed.
missing_packages() {
    local name kind
    while read -r name kind; do
        case $name in '' | '#'*) continue ;; esac
        [ -z "$kind" ] || [ "$kind" = "${1:-}" ] || continue
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] ||
            echo "$name"
    done <"$top/fs/packages"
}

# install_packages [test]: asks apt-get only when something is missing.
install_packages() {
    local missing as_root=
    if ! command -v dpkg-query >/dev/null; then
        echo "This is no Debian: install what fs/packages lists by hand if the build misses it."
        return
    fi
    missing=$(missing_packages "${1:-}")
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null ||
            setup_die "these packages are missing, and only root can install them:" $missing
        as_root=sudo
    fi
    echo "Installing" $missing
    # Another apt-get may be at work: wait for its lock.
    local apt="$as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=600"
    $apt install -y --no-install-recommends $missing >/dev/null 2>&1 </dev/null && return
    # An old or empty list of packages is the usual reason.
    $apt update </dev/null || setup_die "apt-get update failed"
    $apt install -y --no-install-recommends $missing </dev/null ||
        setup_die "apt-get could not install:" $missing
}

# lock_build DIR: one at a time builds there; held until this script ends.
lock_build() {
    mkdir -p "$1"
    exec {lock_fd}>"$1/.lock"
    flock -n "$lock_fd" || {
        echo "Another run is at work in $1: waiting for it."
        flock "$lock_fd"
    }
}

# What is started from here must not hold the lock for as long as it lives.
unlock_build() {
    exec {lock_fd}>&-
}

# build DIR [meson options]: configures when new, or when the options are others; builds everything,
# or $targets.
build() {
    local dir=$1 log=$1/build.log
    shift
    lock_build "$dir"
    if [ ! -f "$dir/build.ninja" ]; then
        meson setup "$dir" "$top" "$@" >"$log" 2>&1 || build_failed "$log"
    elif [ "$*" != "$(cat "$dir/.options" 2>/dev/null)" ]; then
        meson setup --reconfigure "$dir" "$top" "$@" >"$log" 2>&1 || build_failed "$log"
    fi
    echo "$*" >"$dir/.options"
    ninja -C "$dir" ${targets:-} >"$log" 2>&1 || build_failed "$log"
}

build_failed() {
    tail -n 40 "$1"
    setup_die "the build failed; all of its output: $1"
}
