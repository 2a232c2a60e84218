#!/bin/sh
# The C harness, and the C recorder between broker and Rust recorder: built by clang with AddressSanitizer and UndefinedBehaviorSanitizer, then under valgrind.
# Any finding fails.
set -eu
cd "$(dirname "$0")/../.."
CC=clang CFLAGS="-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all" cargo test --quiet -p p2pgate-ffi --test abi
P2PGATE_RUN="valgrind --quiet --error-exitcode=99 --leak-check=full" cargo test --quiet -p p2pgate-ffi --test abi
CC=clang CFLAGS="-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all" \
    cargo test --quiet -p p2pgate-recorder --test c_recorder
