#!/usr/bin/env bash
# core_is_pure.sh ARCHIVE SOURCE-DIR [ALSO]: the core sees the world only through its one door. It
# links neither libuv, RocksDB, FUSE nor msgpack, and calls no clock, no chance and no IO. The same
# for the rules, which include nothing of the core (ALSO) besides.
set -u
archive=$1 source=$2 also=${3-} failures=0

foreign='(uv|rocksdb|fuse|msgpack)_'
clocks='(time|gettimeofday|clock_gettime|clock_getres|nanosleep|usleep|sleep)'
chance='(rand|rand_r|random|srand|srandom|drand48|getrandom|getentropy|arc4random)'
io='(open|openat|fopen|read|write|pread|pwrite|socket|connect|accept|send|recv|sendto|recvfrom|poll|select|fsync|fdatasync|rename|unlink|mkdir|getenv|printf|fprintf|puts|fork|system)(64)?'
threads='pthread_[a-z_]+'

used=$(nm -u "$archive" | sed -n 's/^ *U //p' | sort -u)
[ -n "$(nm --defined-only "$archive" 2>/dev/null)" ] || { echo "$archive defines nothing"; exit 1; }
if grep -E "^($foreign|($clocks|$chance|$io|$threads)(\$|@))" <<<"$used"; then
    echo "$source uses these"
    failures=1
fi
# The macros of msgpack and uv leave no name behind: look at what is included, too.
if grep -nE "#include *[<\"](uv|rocksdb|fuse|msgpack|io/|time\.h|sys/time|sys/socket|unistd|fcntl|pthread$also)" \
    -r --include='*.[ch]' "$source"; then
    echo "$source includes these"
    failures=1
fi
exit $failures
