#!/bin/sh
# The C recorder on Linux for ARM, 32 and 64 bits, under QEMU's user emulation: against the broker and the Rust recorder of this machine.
# `arm.sh build` only builds it.
#
# Needs Debian's rustc-web and rust-web-src (Rust's core library is built for the target), gcc-arm-linux-gnueabihf, gcc-aarch64-linux-gnu with their C
# libraries, and qemu-user; and what the tests need: Rust by rustup.
set -eu

here=$(CDPATH='' cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}

build() { # TARGET CROSS
    prefix=$target/arm/prefix-$1
    CARGO_TARGET_DIR=$target/arm/$1 RUSTC=/usr/bin/rustc "$root/ffi/install.sh" --prefix "$prefix" --target "$1" --cross "$2-" --build-std
    make -C "$here" --always-make --no-print-directory CC="$2-gcc" PKG_CONFIG_PATH="$prefix/lib/pkgconfig" STATIC=1 \
        PROGRAM="$prefix/recorder"
    machine=$(readelf -h "$prefix/recorder" | grep Machine:)
    echo "$1: ${machine##*: }"
}

try() { # TARGET CROSS QEMU
    build "$1" "$2"
    P2PGATE_C_RECORDER="$3 -L /usr/$2 $prefix/recorder" cargo test --quiet --manifest-path "$root/Cargo.toml" \
        --workspace --test c_recorder
}

if [ "${1:-}" = build ]; then
    build armv7-unknown-linux-gnueabihf arm-linux-gnueabihf
    build aarch64-unknown-linux-gnu aarch64-linux-gnu
    exit
fi
# Side by side: each compiles one crate at a time at its end, and the tests mostly wait.
log=$(mktemp)
try armv7-unknown-linux-gnueabihf arm-linux-gnueabihf qemu-arm >"$log" 2>&1 &
other=$!
try aarch64-unknown-linux-gnu aarch64-linux-gnu qemu-aarch64
failed=0
wait "$other" || failed=$?
cat "$log"
rm "$log"
exit "$failed"
