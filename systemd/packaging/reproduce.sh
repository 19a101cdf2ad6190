#!/bin/sh
# Builds the packages once more, from a copy of the sources elsewhere, with
# other file times, time zone and umask, and compares every byte. Then it checks
# that what users look for is in them.
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

for deb in "$out"/*.deb; do
	dpkg-deb --contents "$deb" >"$copy/contents"
	for file in bin/koboshi lib/systemd/system/koboshi-boot.service share/man/man1/koboshi.1.gz share/man/man1/koboshi-publish.1.gz \
		share/bash-completion/completions/koboshi share/zsh/vendor-completions/_koboshi share/fish/vendor_completions.d/koboshi.fish \
		share/doc/koboshi/koboshi-sync.yaml share/doc/koboshi/koboshi.toml; do
		if ! grep -q " ./usr/$file\$" "$copy/contents"; then
			echo "${deb##*/} has no /usr/$file"
			exit 1
		fi
	done
done
