#!/bin/sh
# Makes the archives in this directory: one tree, packed by every tool that
# people pack releases with. Needs GNU tar, bsdtar, python3 and git; the tests
# need only what is committed.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
umask 022
export TZ=UTC0

mkdir -p app/bin app/lib/deep app/empty
printf '#!/bin/sh\necho web\n' > app/bin/web
chmod 0755 app/bin/web
printf 'lib\n' > app/lib/libweb.so.1
ln -s libweb.so.1 app/lib/libweb.so
ln -s ../lib/./deep/../libweb.so app/bin/lib
ln -s lib app/lib64
ln -s ../../ app/lib/deep/top
ln -s var/missing app/log
ln app/bin/web app/bin/web-again
: > app/empty-file
printf 'private\n' > app/secret
chmod 0600 app/secret
printf 'unreadable\n' > app/unreadable
chmod 0000 app/unreadable
printf 'group\n' > app/group-writable
chmod 0664 app/group-writable
printf 'lower\n' > app/readme
printf 'upper\n' > app/README
printf 'backslash\n' > 'app/a\b'
printf 'space\n' > 'app/with space'
chmod 2775 app/lib/deep
chmod 1777 app/empty
python3 -c "import os; os.setxattr(\"app/readme\", \"user.note\", b\"dropped\")"
find app -exec touch -h -d 2026-01-02T03:04:05Z {} +

cp -a app long
name=$(printf 'long-name-%.0s' 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
mkdir -p "long/$name/$name"
printf 'long\n' > "long/$name/$name/file"
ln -s "$name/$name/file" long/to-long
printf 'unicode\n' > 'long/größe-日本'

pack() { gzip -9n > "$here/$1.tar.gz"; }
for format in v7 ustar oldgnu gnu posix; do
	tar --format=$format --sort=name --owner=0 --group=0 -cf - app | pack gnutar-$format
done
for format in gnu posix; do
	tar --format=$format --sort=name --xattrs -C long -cf - . | pack gnutar-$format-long
done
for format in v7tar ustar gnutar pax; do
	bsdtar --format $format -cf - app | pack bsdtar-$format
done
bsdtar --format pax -C long -cf - . | pack bsdtar-pax-long
for format in USTAR GNU PAX; do
	python3 -c 'import sys, tarfile
tarfile.open(fileobj=sys.stdout.buffer, mode="w|", format=getattr(tarfile, sys.argv[1]+"_FORMAT")).add("app")' $format | pack python-$format
done
for format in GNU PAX; do
	python3 -c 'import sys, tarfile
with tarfile.open(fileobj=sys.stdout.buffer, mode="w|", format=getattr(tarfile, sys.argv[1]+"_FORMAT")) as t: t.add("long", ".")' $format | pack python-$format-long
done
git init -q repo
cp -a app repo/
rm repo/app/bin/web-again # git knows no hard links
git -C repo add app
git -C repo -c user.name=n -c user.email=e commit -qm m
git -C repo archive --format=tar HEAD | pack git-archive
