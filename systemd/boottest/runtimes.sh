#!/bin/sh
# Makes the layer of runtimes that the recipes of the topic apps are tried with:
# Debian's packages, npm, and wheels of Debian's Python packages. It is an overlay
# above the root filesystem, made once, and again when this script has changed.
#
#	runtimes.sh ROOTFS DIR
set -eu
rootfs=$1 dir=$2 script=$(realpath "$0")
packers="$(dirname "$script")/testdata/wheels.py $(dirname "$script")/testdata/gems.rb"
# shellcheck disable=SC2086
made_by() { cat "$script" $packers; stat -c 'above the root filesystem %i' "$rootfs"; }
if made_by | cmp -s - "$dir.made-by"; then exit 0; fi

packages="python3-venv python3-wheel gunicorn python3-django
	nodejs curl
	default-jdk-headless maven libmaven-assembly-plugin-java libmaven-compiler-plugin-java libmaven-install-plugin-java
	libmaven-jar-plugin-java libmaven-resources-plugin-java libsurefire-java libcommons-lang3-java
	nginx-light php-fpm ruby puma bundler ruby-rack ruby-nio4r openssl awscli"
registry=https://registry.npmjs.org

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
fetch() { # NAME VERSION PROGRAM: a package of npm's registry
	mkdir "$new/root/usr/local/lib/$1"
	curl -fsSL "$registry/$1/-/$1-$2.tgz" | tar -xz --no-same-owner --strip-components 1 -C "$new/root/usr/local/lib/$1"
	ln -s "../lib/$1/bin/$3" "$new/root/usr/local/bin/$1"
}
fetch npm 10.9.4 npm-cli.js
fetch pnpm 9.15.9 pnpm.cjs
# shellcheck disable=SC2086
cp $packers "$new/root/tmp/"
inside python3 /tmp/wheels.py /usr/local/share/wheels gunicorn django:asgiref,pytz,sqlparse asgiref pytz sqlparse
inside ruby /tmp/gems.rb /usr/local/share/gems puma ruby-rack ruby-nio4r
inside sh -c 'systemctl enable -q nginx.service # as its package does; the root filesystem has it disabled
	rm -rf /var/lib/apt/lists/* /var/cache/apt/* /tmp/*'
umount -R "$new/root"
mv "$new/upper" "$dir"
made_by >"$dir.made-by"
