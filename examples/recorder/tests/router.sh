#!/bin/sh
# `receive --map-port` behind a router with NAT: without it callers from outside come through the tunnel, with it straight, by PCP, NAT-PMP and UPnP alike. The router
# is miniupnpd, its NAT
# nftables, both in a network of their own: needs a Linux with root or user namespaces, iproute2, nftables and miniupnpd-nftables.
set -eu

here=$(CDPATH='' cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}

if [ "${1:-}" != in-its-own-network ]; then
    # As the tests build them, so that nothing is built twice.
    cargo test --quiet --manifest-path "$root/Cargo.toml" --workspace --no-run --test process --test c_recorder
    if [ "$(id -u)" = 0 ]; then exec unshare -nm "$0" in-its-own-network; fi
    exec unshare -rnm "$0" in-its-own-network
fi

# Outside (this namespace) 9.9.9.2 ── 9.9.9.1 router 192.168.7.1 ── 192.168.7.2 home. Addresses of the real internet, which this network doesn't reach:
# a router maps nothing to a private one.
mount -t tmpfs none /run
work=$(mktemp -d)
broker= receiving= router=
trap 'kill $broker $receiving $router 2>/dev/null || true; ip netns del home; ip netns del router; rm -rf "$work"' EXIT
ip netns add router
ip netns add home
ip link add wan type veth peer name outer netns router
ip link add lan type veth peer name inner netns router
ip link set lan netns home
ip link set lo up
ip address add 9.9.9.2/24 dev wan
ip link set wan up
ip netns exec router sh -e <<'EOF'
ip link set lo up
ip address add 9.9.9.1/24 dev outer
ip address add 192.168.7.1/24 dev inner
ip link set outer up
ip link set inner up
echo 1 >/proc/sys/net/ipv4/ip_forward
nft -f - <<'NFT'
table inet filter {
    chain miniupnpd {}
    chain prerouting_miniupnpd {}
    chain postrouting_miniupnpd {}
    chain forward {
        type filter hook forward priority 0; policy drop;
        iifname inner accept
        ct state established,related accept
        jump miniupnpd
    }
    chain prerouting {
        type nat hook prerouting priority -100;
        jump prerouting_miniupnpd
    }
    chain postrouting {
        type nat hook postrouting priority 100;
        jump postrouting_miniupnpd
        oifname outer masquerade
    }
}
NFT
EOF
ip netns exec home sh -e <<'EOF'
ip link set lo up
ip address add 192.168.7.2/24 dev lan
ip link set lan up
ip route add default via 192.168.7.1
EOF
# The router's port mapping by one protocol: WAY.
route_by() {
    upnp=no natpmp=yes
    if [ "$1" = UPnP ]; then upnp=yes natpmp=no; fi
    cat >"$work/miniupnpd.conf" <<EOF
ext_ifname=outer
listening_ip=inner
port=5000
enable_upnp=$upnp
enable_natpmp=$natpmp
min_lifetime=4
max_lifetime=8
uuid=00000000-0000-0000-0000-000000000001
upnp_table_name=filter
upnp_nat_table_name=filter
upnp_forward_chain=miniupnpd
upnp_nat_chain=prerouting_miniupnpd
upnp_nat_postrouting_chain=postrouting_miniupnpd
allow 1024-65535 192.168.7.0/24 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
EOF
    # An old router doesn't answer what it doesn't know: PCP's words start with its version, 2.
    if [ "$1" = NAT-PMP ]; then
        ip netns exec router nft -f - <<'NFT'
table inet old {
    chain input {
        type filter hook input priority 0;
        udp dport 5351 @th,64,8 2 drop
    }
}
NFT
    fi
    rm -f "$work/miniupnpd.log"
    ip netns exec router miniupnpd -d -f "$work/miniupnpd.conf" -P "$work/miniupnpd.pid" >"$work/miniupnpd.log" 2>&1 &
    router=$!
    await "$work/miniupnpd.log" 'istening'
}
route_no_more() {
    kill "$router"
    wait "$router" 2>/dev/null || true
    router=
    ip netns exec router nft delete table inet old 2>/dev/null || true
}
mapped() { ip netns exec router nft list ruleset | grep -q 'dnat.*192.168.7.2'; }

card=$root/examples/recorder/media/test-card.mpg
home() { ip netns exec home "$target/debug/p2pgate-recorder" "$@"; }
outside() { "$target/debug/p2pgate-recorder" "$@"; }
await() { # FILE WORDS: until a line of it has them
    for _ in $(seq 400); do
        if grep -q "$2" "$1" 2>/dev/null; then return 0; fi
        sleep 0.05
    done
    echo "router.sh: $1 doesn't say $2" >&2
    cat "$1" >&2
    exit 1
}
receive() {
    # What the one before has said must not be taken for its word.
    rm -f "$work/home.log"
    ip netns exec home "$target/debug/p2pgate-recorder" receive --state "$work/home" --out "$work/received" "$@" >"$work/home.log" 2>&1 &
    receiving=$!
    await "$work/home.log" '^ready '
}
end() { kill "$receiving"; wait "$receiving" 2>/dev/null || true; receiving=; }
send() { outside send --state "$work/outside" --to home "$card" --as public --json >"$work/report"; }

RUST_LOG=warn "$target/debug/p2pgate-broker" serve --data "$work/broker" --listen 9.9.9.2:0 >"$work/broker.log" &
broker=$!
await "$work/broker.log" '^listening '
read -r _ address _ key <"$work/broker.log"
enrol() { "$target/debug/p2pgate-broker" enrol --data "$work/broker" "$1"; }
home init --state "$work/home" --id home --broker "$address" --broker-key "$key" --ticket "$(enrol home)"
outside init --state "$work/outside" --id outside --broker "$address" --broker-key "$key" --ticket "$(enrol outside)"
home allow --state "$work/home" --create outside

# Nothing leads in: through the tunnel, sealed.
receive
send
grep -q '"relay_sealed":530432' "$work/report"
end

# Who is at home too comes straight: by the address at home, which the broker never sees.
home init --state "$work/kitchen" --id kitchen --broker "$address" --broker-key "$key" --ticket "$(enrol kitchen)"
home allow --state "$work/home" --add kitchen
receive
home send --state "$work/kitchen" --to home "$card" --as public --json >"$work/report"
grep -q '"direct_clear":530432' "$work/report"
end

# A router that opens no port is told of, and the tunnel is there as before.
receive --map-port
await "$work/home.log" 'come through the broker until'
send
grep -q '"relay_sealed":530432' "$work/report"
end

received=3
for way in PCP NAT-PMP UPnP; do
    route_by $way
    receive --map-port
    await "$work/home.log" "reach this recorder at 9.9.9.1:.*($way)"
    # PCP gives 8 s here: it is renewed before they are over.
    if [ $way = PCP ]; then sleep 12; else sleep 1; fi
    mapped
    send
    grep -q '"direct_clear":530432' "$work/report"
    received=$((received + 1))
    # Who is told to end takes the port back.
    end
    ! mapped
    route_no_more
done
for file in "$work/received"/*; do cmp "$file" "$card"; done
[ "$(ls "$work/received" | wc -l)" = $received ]

# And so does who ends by itself.
route_by PCP
receive --map-port --once
await "$work/home.log" 'reach this recorder at 9.9.9.1:'
sleep 1
mapped
send
wait "$receiving"
receiving=
! mapped
echo "router.sh: all is well"
