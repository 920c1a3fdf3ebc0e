#!/bin/sh
# Makes sure that the programs which the tests run are on this machine. Installs what is missing through apt where
# that is allowed (root, Debian); otherwise says in one line what is missing and fails. Takes no time when all is there.
#
#   sh test/setup.sh           what npm test needs
#   sh test/setup.sh install   and what builds the container image without an engine, and the encoder of blobs
set -eu

# Program and Debian package, one pair a line.
needed='nix-daemon nix-bin
nix nix-bin
git git
gzip gzip
perl perl-base
unshare util-linux
sshd openssh-server
ssh openssh-client
nginx nginx-light
xz xz-utils
bzip2 bzip2
zstd zstd
openssl openssl
setpriv util-linux
systemd-analyze systemd
systemd-notify systemd
strace strace
mandoc mandoc
mount mount
ip iproute2'
if [ "${1:-}" = install ]; then needed="$needed
buildah buildah
mmdebstrap mmdebstrap
clang-14 clang-14
wasm-ld-14 lld-14
patch patch"; fi

missing() {
  printf '%s\n' "$needed" | while read -r program package; do
    command -v "$program" >/dev/null 2>&1 || printf '%s ' "$package"
  done
}

packages=$(missing | tr ' ' '\n' | sort -u | tr '\n' ' ' | sed 's/^ *//; s/ *$//')
[ -n "$packages" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "test/setup.sh: the tests need these programs, please install their packages (Debian names): $packages" >&2
  exit 1
fi

export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # the names are words
install() { apt-get install -y -qq --no-install-recommends $packages >/dev/null; }

echo "test/setup.sh: installing $packages" >&2
if ! ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1; then apt-get update -qq; fi
# Lists that are there may be too old for the mirror: one more try with new ones.
install || { apt-get update -qq && install; } || {
  echo "test/setup.sh: apt could not install $packages" >&2
  exit 1
}

still=$(missing)
[ -z "$still" ] || { echo "test/setup.sh: still missing after the installation: $still" >&2; exit 1; }
