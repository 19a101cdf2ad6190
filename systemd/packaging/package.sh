#!/bin/sh
# Builds the packages, for amd64 and arm64, into OUT: deb and rpm, a software
# bill of materials for each binary, and SHA256SUMS. The same sources make the
# same bytes, wherever and whenever. BUILD is the command that compiles.
#
#	BUILD='go build ...' package.sh OUT NFPM CYCLONEDX
set -eu
umask 022
out=$1
nfpm=$2
cyclonedx=$3 # cyclonedx-gomod
cd "$(dirname "$0")/../.."
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct)}"
VERSION=$(sed -n 's/^const version = "\(.*\)"$/\1/p' cmd/koboshi/root.go)
export SOURCE_DATE_EPOCH VERSION
STAGE=$(mktemp -d)
trap 'rm -rf "$STAGE"' EXIT
export STAGE

rm -rf "$out"
mkdir -p "$out" "$STAGE/units" "$STAGE/completions"
TZ=UTC go run -tags man ./cmd/koboshi "$STAGE/man"
gzip -9n "$STAGE"/man/*.1
go build -o "$STAGE/here" ./cmd/koboshi # for the machine that builds
for shell in bash zsh fish; do
	"$STAGE/here" completion "$shell" >"$STAGE/completions/$shell"
done
for unit in systemd/units/*; do
	# A package's programs are not in /usr/local.
	sed 's#/usr/local/bin/koboshi#/usr/bin/koboshi#' "$unit" >"$STAGE/units/${unit##*/}"
done
find "$STAGE/units" "$STAGE/man" "$STAGE/completions" -exec touch -d "@$SOURCE_DATE_EPOCH" {} +

for ARCH in amd64 arm64; do
	export ARCH
	export GOOS=linux GOARCH="$ARCH"
	eval "$BUILD -buildvcs=false -o \"$STAGE/koboshi\" ./cmd/koboshi"
	# What the linker has written into the binary, not what go.mod asks for; GOARCH only names it.
	"$cyclonedx" bin -json -std -noserial -notimestamp -version "v$VERSION" -output "$out/koboshi_${VERSION}_$ARCH.cdx.json" "$STAGE/koboshi"
	unset GOOS GOARCH
	touch -d "@$SOURCE_DATE_EPOCH" "$STAGE/koboshi"
	for kind in deb rpm; do
		"$nfpm" package --config systemd/packaging/nfpm.yaml --packager "$kind" --target "$out/"
	done
done
cd "$out"
sha256sum koboshi* >SHA256SUMS
cat SHA256SUMS
