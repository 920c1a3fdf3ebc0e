#!/bin/sh
# Makes src/git/deflate/chunk.wasm, or the file that is named. Debian's packages clang-14, lld-14 and patch are all
# that it takes, and make the same bytes everywhere.
#
#   sh src/git/deflate/native/build.sh [FILE]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
target=${1:-$here/../chunk.wasm}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cp "$here/chunk.c" "$work/"
cp -R "$here/libdeflate" "$work/"
cd "$work"
patch -s -p1 < "$here/not-final.patch"
# In two steps, since clang has what it links rewritten by a wasm-opt that happens to be there.
for source in chunk.c libdeflate/lib/adler32.c libdeflate/lib/utils.c; do
  clang-14 --target=wasm32 -ffreestanding -DFREESTANDING -DNDEBUG -O3 -mllvm -unroll-threshold=80 -msimd128 -mbulk-memory -fvisibility=hidden \
    -Ilibdeflate -Ilibdeflate/lib -c "$source" -o "$(basename "$source" .c).o"
done
wasm-ld-14 --no-entry --strip-all -z stack-size=65536 -o chunk.wasm chunk.o adler32.o utils.o
cp chunk.wasm "$target"
