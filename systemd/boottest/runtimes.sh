#!/bin/sh
# Makes the layer of runtimes that the recipes of the topic apps are tried with:
# Debian's packages, npm, and wheels of Debian's Python packages. It is an overlay
# above the root filesystem, made once, and again when this script has changed.
#
#	runtimes.sh ROOTFS DIR
set -eu
rootfs=$1 dir=$2 script=$(realpath "$0")
wheels=$(dirname "$script")/testdata/wheels.py
if cat "$script" "$wheels" | cmp -s - "$dir.made-by"; then exit 0; fi

packages="python3-venv python3-wheel gunicorn python3-django
	nodejs curl
	default-jdk-headless maven libmaven-assembly-plugin-java
	nginx-light php-fpm ruby puma ruby-rack bundler openssl"
npm=https://registry.npmjs.org/npm/-/npm-10.9.4.tgz

# A namespace of its own: no mount is left behind, however this ends.
if [ -z "${KOBOSHI_UNSHARED:-}" ]; then
	exec env KOBOSHI_UNSHARED=1 unshare --mount --propagation private sh "$script" "$@"
fi

echo "the layer of runtimes is made once, in one or two minutes: $dir"
rm -rf "$dir" "$dir.made-by"
new=$(mktemp -d "$dir.XXXXXX")
trap 'umount -R "$new/root" 2>/dev/null || :; rm -rf --one-file-system "$new"' EXIT
mkdir "$new/root" "$new/upper" "$new/work"
mount -t overlay overlay -o "lowerdir=$rootfs,upperdir=$new/upper,workdir=$new/work" "$new/root"
mount --rbind /dev "$new/root/dev"
mount -t proc proc "$new/root/proc"
mount --bind /etc/resolv.conf "$new/root/etc/resolv.conf"

inside() { env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 chroot "$new/root" "$@"; }
inside apt-get update -q
# shellcheck disable=SC2086
inside apt-get install -qy --no-install-recommends $packages
mkdir "$new/root/usr/local/lib/npm"
curl -fsSL "$npm" | tar -xz --no-same-owner --strip-components 1 -C "$new/root/usr/local/lib/npm"
ln -s ../lib/npm/bin/npm-cli.js "$new/root/usr/local/bin/npm"
ln -s ../lib/npm/bin/npx-cli.js "$new/root/usr/local/bin/npx"
cp "$wheels" "$new/root/tmp/"
inside python3 /tmp/wheels.py /usr/local/share/wheels gunicorn django sqlparse asgiref pytz
inside sh -c 'systemctl disable -q nginx.service php8.2-fpm.service; rm -rf /var/lib/apt/lists/* /var/cache/apt/* /tmp/*'
umount -R "$new/root"
mv "$new/upper" "$dir"
cat "$script" "$wheels" >"$dir.made-by"
