# net.sh: a network for a test: each node and each mount in a network namespace of its own, all on
# one bridge. Sourced after lib.sh; needs `ip` and `tc` of iproute2, and nothing of the kernel but
# bridge and veth. 10.77.0.I is node I, mounts follow from .101; the test itself is .254.

host() { echo "10.77.0.$1"; }

# False: this kernel has no bridge or no veth.
net_begin() {
    mount -t tmpfs tmpfs /run && mkdir /run/netns &&
        ip link add net0 type bridge && ip link set net0 up &&
        ip addr add "$(host 254)/24" dev net0
}

# net_place NAME NUMBER: where the processes of node or mount NAME will run, at address NUMBER.
net_place() {
    ip netns add "$1" && ip link add "to$1" type veth peer name eth0 netns "$1" &&
        ip link set "to$1" master net0 up && ip -n "$1" addr add "$(host "$2")/24" dev eth0 &&
        ip -n "$1" link set eth0 up && ip -n "$1" link set lo up || die "no network for $1"
    within[$1]="nsenter --net=/run/netns/$1"
}


net_mute() { tc -n "$1" qdisc replace dev eth0 root blackhole; } # nobody hears NAME
net_deaf() { tc qdisc replace dev "to$1" root blackhole; }       # NAME hears nobody
net_cut() { net_mute "$1" && net_deaf "$1"; }
net_heal() { # all of the above
    tc -n "$1" qdisc del dev eth0 root
    tc qdisc del dev "to$1" root
} 2>/dev/null

# net_part NAME NUMBER: what NAME sends to the address reaches nobody; net_join undoes it.
net_part() { ip -n "$1" neigh replace "$(host "$2")" lladdr 02:00:00:00:00:01 dev eth0 nud permanent; }
net_join() { ip -n "$1" neigh del "$(host "$2")" dev eth0; }
