#!/bin/sh
# Makes src/git/deflate/chunk.wasm, or the file that is named. Debian's packages clang-14, lld-14 and patch are all
# that it takes, and make the same bytes everywhere.
#
#   sh native/deflate/build.sh [FILE]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
target=${1:-$here/../../src/git/deflate/chunk.wasm}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cp "$here/chunk.c" "$work/"
cp -R "$here/libdeflate" "$work/"
cd "$work"
patch -s -p1 < "$here/not-final.patch"
clang-14 --target=wasm32 -nostdlib -ffreestanding -DFREESTANDING -DNDEBUG -O3 -msimd128 -mbulk-memory -fvisibility=hidden \
  -Ilibdeflate -Ilibdeflate/lib -Wl,--no-entry -Wl,--strip-all -Wl,-z,stack-size=65536 -o chunk.wasm \
  chunk.c libdeflate/lib/adler32.c libdeflate/lib/utils.c
cp chunk.wasm "$target"
