#!/bin/sh
# Builds libp2pgate and installs it for C and C++: static and shared library, headers, and what pkg-config and CMake look for.
#
#   ffi/install.sh --prefix /usr/local                                       # for this machine
#   ffi/install.sh --prefix sysroot/usr --target armv7-unknown-linux-gnueabihf --cross arm-linux-gnueabihf-
#   ffi/install.sh --prefix out --target thumbv7em-none-eabihf --cross arm-none-eabi- --static-only
#
# --target      the Rust target; without it this machine's
# --cross       what goes before gcc, ar and objcopy; CC, AR and OBJCOPY in the environment say it tool by tool
# --static-only no libp2pgate.so: for devices without a dynamic linker
# --build-std   build Rust's core library too, where the Rust installation has its sources and not the target
# --profile     Cargo's profile; without it `firmware`, which is small
# What follows -- goes to cargo: -- --no-default-features leaves out what the library can do without.
# DESTDIR in the environment goes before the prefix, as for make install.
set -eu

package=$(CDPATH='' cd "$(dirname "$0")" && pwd)
root=$(dirname "$package")
prefix= target= cross= shared=yes build_std= profile=firmware
fail() { echo "install.sh: $*" >&2; exit 2; }
while [ $# -gt 0 ]; do
    case $1 in
        --) shift; break ;;
        --static-only) shared= ;;
        --build-std) build_std=yes ;;
        --prefix | --target | --cross | --profile)
            [ $# -gt 1 ] || fail "$1 has no value"
            case $1 in
                --prefix) prefix=$2 ;;
                --target) target=$2 ;;
                --cross) cross=$2 ;;
                --profile) profile=$2 ;;
            esac
            shift
            ;;
        *) fail "$1 is not understood; see the top of $0" ;;
    esac
    shift
done
[ -n "$prefix" ] || fail "--prefix is missing; see the top of $0"
case $prefix in /*) ;; *) prefix=$PWD/$prefix ;; esac
if [ -n "$cross" ]; then cc=${CC:-${cross}gcc}; else cc=${CC:-cc}; fi
ar=${AR:-${cross}ar} objcopy=${OBJCOPY:-${cross}objcopy}

# The library as Rust makes it: all of it, and half of Rust's core.
set -- rustc --quiet --locked --manifest-path "$package/Cargo.toml" --profile "$profile" --features panic-handler --crate-type staticlib "$@"
[ -z "$target" ] || set -- "$@" --target "$target"
[ -z "$build_std" ] || { set -- "$@" -Zbuild-std=core; export RUSTC_BOOTSTRAP=1; }
"${CARGO:-cargo}" "$@"
built=${CARGO_TARGET_DIR:-$root/target}/${target:+$target/}$profile
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -n 1)
series=${version%.*} # compatible versions: the soname

# What the C functions need of it, as one object that shows nothing but them.
work=$built/libp2pgate
mkdir -p "$work"
roots=$(sed 's/^/-Wl,-u,/' "$package/abi.symbols")
# shellcheck disable=SC2086 # one word for each symbol
"$cc" -r -nostdlib -Wl,--gc-sections $roots -o "$work/p2pgate.o" "$built/libp2pgate_ffi.a"
# LLVM's intermediate code would have the linker take it, if it has a plugin, for the object itself.
"$objcopy" --remove-section=.llvmbc --remove-section=.llvmcmd --strip-unneeded --keep-global-symbols="$package/abi.symbols" "$work/p2pgate.o"
rm -f "$work/libp2pgate.a"
"$ar" rcsD "$work/libp2pgate.a" "$work/p2pgate.o"

lib=${DESTDIR:-}$prefix/lib include=${DESTDIR:-}$prefix/include
mkdir -p "$lib/pkgconfig" "$lib/cmake/p2pgate" "$include"
put() { install -m "$1" "$2" "$3"; }
put 644 "$work/libp2pgate.a" "$lib/libp2pgate.a"
if [ -n "$shared" ]; then
    # It asks the C library for memcpy and its like, and for nothing else.
    "$cc" -shared -nostartfiles -Wl,-soname,"libp2pgate.so.$series" -Wl,-z,defs -Wl,-z,relro -Wl,-z,now -Wl,-s \
        -o "$work/libp2pgate.so" "$work/p2pgate.o"
    put 755 "$work/libp2pgate.so" "$lib/libp2pgate.so.$version"
    ln -sf "libp2pgate.so.$version" "$lib/libp2pgate.so.$series"
    ln -sf "libp2pgate.so.$series" "$lib/libp2pgate.so"
fi
for header in "$root"/include/p2pgate.h*; do
    put 644 "$header" "$include/${header##*/}"
done
fill() { sed -e "s|@PREFIX@|$prefix|" -e "s|@VERSION@|$version|g" -e "s|@SERIES@|$series|g" "$package/install/$1" >"$2"; }
fill p2pgate.pc.in "$lib/pkgconfig/p2pgate.pc"
fill p2pgateConfig.cmake.in "$lib/cmake/p2pgate/p2pgateConfig.cmake"
fill p2pgateConfigVersion.cmake.in "$lib/cmake/p2pgate/p2pgateConfigVersion.cmake"
echo "libp2pgate $version${target:+ for $target} is in $prefix"
