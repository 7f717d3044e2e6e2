#!/bin/bash
# Build etcd, kube-apiserver, kube-controller-manager and kube-scheduler from Debian's archive into a folder.
#
#   bash tests/cluster/build.sh FOLDER
#
# It needs a Debian 12 machine, root (or sudo), 2.5 GB of scratch space in TMPDIR and 6 to 12 minutes on two cores.
# Packages that only the build uses are unpacked in the scratch folder; go, rsync and jq are installed.
set -euo pipefail

programs=(kube-apiserver kube-controller-manager kube-scheduler)
mkdir -p "${1:?usage: build.sh FOLDER}"
target=$(cd "$1" && pwd)
scratch=$(mktemp -d)
trap 'chmod -R u+w "$scratch" && rm -rf "$scratch"' EXIT
as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)

# Source packages come from a list in the scratch folder, so that the machine's own sources stay as they are.
mkdir -p "$scratch"/apt/{sources,lists/partial}
for list in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
  [ -e "$list" ] || continue
  if [ "${list##*.}" = sources ]; then
    sed 's/^Types:.*/Types: deb-src deb/' "$list" > "$scratch/apt/sources/debian.sources"
  else
    sed -n 's/^deb \(.*\)/deb \1\ndeb-src \1/p' "$list" > "$scratch/apt/sources/debian.list"
  fi
done
archive() {
  apt-get -q -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$scratch/apt/sources" \
    -o Dir::State::Lists="$scratch/apt/lists" -o APT::Sandbox::User=root "$@"
}

cd "$scratch"
echo "Fetching sources"
archive update > apt/update.log
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q \
  -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$scratch/apt/sources" -o Dir::State::Lists="$scratch/apt/lists" \
  -o DPkg::Lock::Timeout=600 install -y --no-install-recommends golang-go rsync jq make dpkg-dev openssl > apt/install.log
archive download etcd-server golang-github-modern-go-reflect2-dev > apt/download.log
archive source --download-only kubernetes > apt/source.log
for package in *.deb; do dpkg-deb -x "$package" unpacked; done
cp unpacked/usr/bin/etcd "$target/"

module=$scratch/go/src/k8s.io/kubernetes
mkdir -p "${module%/*}"
dpkg-source --no-check -x kubernetes_*.dsc "$module" > apt/unpack.log
# The vendored reflect2 reads runtime internals that Go 1.18 moved; Debian's package follows them.
rm -rf "$module/vendor/github.com/modern-go/reflect2"
cp -rL unpacked/usr/share/gocode/src/github.com/modern-go/reflect2 "$module/vendor/github.com/modern-go/"

echo "Compiling ${programs[*]}"
# Without cloud providers, whose client libraries take half of the time.
export GOPATH=$scratch/go GO111MODULE=off GOFLAGS=-tags=providerless
export KUBE_GIT_VERSION=v1.20.2 KUBE_GIT_TREE_STATE=clean KUBE_GIT_COMMIT=debian
if ! make -C "$module" WHAT="${programs[*]/#/cmd/}" GOLDFLAGS="-s -w" > "$target/build.log" 2>&1; then
  tail -20 "$target/build.log" >&2
  exit 1
fi
cp "${programs[@]/#/$module/_output/bin/}" "$target/"
