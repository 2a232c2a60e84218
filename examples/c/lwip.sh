#!/bin/sh
# The recorder on lwIP against the broker and the Rust recorder: both ways, all attributes, bit by bit. In a network of its own, which needs a Linux with
# /dev/net/tun and root or user namespaces; besides that liblwip-dev, iproute2 and what builds the rest.
set -eu

here=$(CDPATH='' cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}

if [ "${1:-}" != in-its-own-network ]; then
    # As the tests build them, so that nothing is built twice.
    cargo test --quiet --manifest-path "$root/Cargo.toml" --workspace --no-run --test process --test c_recorder
    "$root/ffi/install.sh" --prefix "$target/lwip" --static-only
    make -C "$here" --always-make --no-print-directory PKG_CONFIG_PATH="$target/lwip/lib/pkgconfig" STATIC=1 PROGRAM="$target/lwip/recorder_lwip" lwip
    if [ "$(id -u)" = 0 ]; then exec unshare -n "$0" in-its-own-network; fi
    exec unshare -rn "$0" in-its-own-network
fi

ip tuntap add dev lwip0 mode tap
ip address add 10.77.0.1/24 dev lwip0
ip link set lwip0 up
ip link set lo up
work=$(mktemp -d)
broker= receiving=
trap 'kill $broker $receiving 2>/dev/null || true; rm -rf "$work"' EXIT
card=$root/examples/recorder/media/test-card.mpg
rust() { "$target/debug/p2pgate-recorder" "$@"; }
lwip() { "$target/lwip/recorder_lwip" lwip0 10.77.0.2 "$@"; }
# In the background these are the process itself, which can be ended by its number.
serve_rust() { exec "$target/debug/p2pgate-recorder" receive "$@"; }
serve_lwip() { exec "$target/lwip/recorder_lwip" lwip0 10.77.0.2 receive "$@"; }
await() { # FILE WORD: until a line of it begins so
    for _ in $(seq 200); do
        if grep -q "^$2 " "$1" 2>/dev/null; then return 0; fi
        sleep 0.05
    done
    echo "lwip.sh: $1 doesn't say $2" >&2
    exit 1
}
# What one has said must not be taken for the next one's word.
end() { kill "$receiving"; wait "$receiving" 2>/dev/null || true; receiving=; rm -f "$work/attic.log" "$work/bedroom.log"; }

RUST_LOG=warn "$target/debug/p2pgate-broker" serve --data "$work/broker" --listen 10.77.0.1:0 >"$work/broker.log" &
broker=$!
await "$work/broker.log" listening
read -r _ address _ key <"$work/broker.log"
enrol() { "$target/debug/p2pgate-broker" enrol --data "$work/broker" "$1"; }
rust init --state "$work/bedroom" --id bedroom --broker "$address" --broker-key "$key" --ticket "$(enrol bedroom)"
lwip init --state "$work/attic" --id attic --broker "$address" --broker-key "$key" --ticket "$(enrol attic)"
rust allow --state "$work/bedroom" --create attic
lwip allow --state "$work/attic" --create bedroom

serve_lwip --state "$work/attic" --out "$work/to-attic" --listen 0.0.0.0:0 >"$work/attic.log" &
receiving=$!
await "$work/attic.log" ready
for attribute in confidential public split; do
    rust send --state "$work/bedroom" --to attic "$card" --as $attribute --hash
done
end
[ "$(ls "$work/to-attic" | wc -l)" = 3 ]
for file in "$work/to-attic"/*; do cmp "$file" "$card"; done

serve_rust --state "$work/bedroom" --out "$work/to-bedroom" --listen 10.77.0.1:0 >"$work/bedroom.log" &
receiving=$!
await "$work/bedroom.log" ready
for attribute in confidential public split; do
    lwip send --state "$work/attic" --to bedroom "$card" --as $attribute --hash
done
end
[ "$(ls "$work/to-bedroom" | wc -l)" = 3 ]
for file in "$work/to-bedroom"/*; do cmp "$file" "$card"; done

# Who is not permitted, and a callee that is busy.
lwip allow --state "$work/attic" --create ''
serve_lwip --state "$work/attic" --out "$work/to-attic" --load-limit 0 >"$work/attic.log" &
receiving=$!
await "$work/attic.log" ready
code=0; rust send --state "$work/bedroom" --to attic "$card" || code=$?
[ $code = 3 ]
end
lwip allow --state "$work/attic" --create bedroom
serve_lwip --state "$work/attic" --out "$work/to-attic" --load-limit 0 >"$work/attic.log" &
receiving=$!
await "$work/attic.log" ready
code=0; rust send --state "$work/bedroom" --to attic "$card" || code=$?
[ $code = 5 ]
end
echo "lwip.sh: all is well"
