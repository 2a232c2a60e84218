#!/bin/sh
# The C harness, and the C recorder between broker and Rust recorder: built by clang with AddressSanitizer and UndefinedBehaviorSanitizer; the harness under
# valgrind too. Any finding fails.
set -eu
cd "$(dirname "$0")/../.."
checks="-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all"
CC=clang CFLAGS="$checks" cargo test --quiet --workspace --test abi
P2PGATE_RUN="valgrind --quiet --error-exitcode=99 --leak-check=full" cargo test --quiet --workspace --test abi

# Built beforehand: with these variables around it cargo would build SQLite so as well.
prefix=${CARGO_TARGET_DIR:-$PWD/target}/checked
ffi/install.sh --prefix "$prefix" --static-only
make -C examples/c --always-make --no-print-directory CC=clang CFLAGS="$checks" PKG_CONFIG_PATH="$prefix/lib/pkgconfig" STATIC=1 PROGRAM="$prefix/recorder"
P2PGATE_C_RECORDER="$prefix/recorder" cargo test --quiet --workspace --test c_recorder
