#!/bin/sh
# erofs-utils.sh DIR: mkfs.erofs, fsck.erofs and dump.erofs of Debian 13 in DIR, which
# is then for a PATH. Debian 12 has 1.5, which does not know zstd. They come with their
# own libraries, and nothing is installed.
set -eu
command -v mmdebstrap >/dev/null || {
	apt-get update -q
	DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends mmdebstrap
}
dir=$(realpath -m "$1")
rm -rf "$dir.new"
mkdir -p "$dir.new"
make_root() { mmdebstrap --quiet --variant=extract --format=directory --include=erofs-utils trixie "$dir.new/root"; }
make_root || { echo "once more: a mirror may have hiccuped"; rm -rf "$dir.new/root"; make_root; }
rm -rf "$dir.new/root/dev" "$dir.new/root/var" "$dir.new/root/usr/share"
for program in mkfs.erofs fsck.erofs dump.erofs; do
	cat >"$dir.new/$program" <<-'END'
		#!/bin/sh
		root=$(dirname "$(readlink -f "$0")")/root
		set -- "$root/usr/bin/${0##*/}" "$@"
		for loader in "$root"/usr/lib/*/ld-linux-*.so.*; do
			exec "$loader" --library-path "${loader%/*}" "$@"
		done
	END
	chmod 755 "$dir.new/$program"
done
"$dir.new/mkfs.erofs" -V
rm -rf "$dir"
mv "$dir.new" "$dir"
