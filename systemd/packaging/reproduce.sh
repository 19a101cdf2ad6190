#!/bin/sh
# Builds the packages once more, from a copy of the sources elsewhere, with
# other file times, time zone and umask, and compares every byte.
#
#	BUILD='go build ...' reproduce.sh OUT NFPM CYCLONEDX
set -eu
out=$(realpath "$1")
nfpm=$(realpath "$2")
cyclonedx=$(realpath "$3")
cd "$(dirname "$0")/../.."
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
git ls-files -z --cached --others --exclude-standard | xargs -0 ls -d 2>/dev/null | tar -c -T - | tar -x -m -C "$copy"
umask 077
(cd "$copy" && TZ=Asia/Tokyo sh systemd/packaging/package.sh "$copy/packages" "$nfpm" "$cyclonedx" >/dev/null)
diff -r "$out" "$copy/packages"
echo "two builds, the same $(ls "$out" | wc -l) files"
