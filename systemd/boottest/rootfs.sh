#!/bin/sh
# Makes the root filesystem that boottest boots, once: Debian 12 with systemd,
# cloud-init, and nginx and rsyslog that are not enabled, in DIR. It also installs what the containers need on the host.
#
#	rootfs.sh DIR       DIR is there when it is complete
#	rootfs.sh DIR vm    and next to it "kernel", with a kernel and its modules
set -eu
dir=$1 vm=${2:-}

missing=
for tool in mmdebstrap:mmdebstrap systemd-nspawn:systemd-container ip:iproute2 \
	${vm:+qemu-system-x86_64:qemu-system-x86 mkfs.ext4:e2fsprogs depmod:kmod}; do
	command -v "${tool%:*}" >/dev/null || missing="$missing ${tool#*:}"
done
if [ -n "$missing" ]; then
	apt-get update -q
	# shellcheck disable=SC2086
	DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $missing
fi

mkdir -p "$(dirname "$dir")"
new=$(mktemp -d "$dir.XXXXXX")
trap 'rm -rf "$new"' EXIT

make_root() {
	mmdebstrap --variant=minbase --format=directory --include=systemd-sysv,udev,dbus,kmod,iproute2,cloud-init,nginx-light,rsyslog,rsyslog-relp \
		--customize-hook='systemctl --root="$1" disable nginx.service rsyslog.service; rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*' bookworm "$new/root"
}
if [ ! -e "$dir/usr/sbin/nginx" ] || [ ! -e "$dir/usr/sbin/rsyslogd" ]; then
	rm -rf "$dir" # an earlier one
	echo "the root filesystem is made once, in two or three minutes: $dir"
	make_root || { echo "once more: a mirror may have hiccuped"; rm -rf "$new/root"; make_root; }
	: >"$new/root/etc/resolv.conf" # cloud-init would wait 40 s for a name server
	mv "$new/root" "$dir"
fi

# The kernel for clouds has NVMe and ext4 built in: it needs no initramfs.
make_kernel() {
	name=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image/ { print $2; exit }')
	(cd "$new" && apt-get download -q "$name" && dpkg-deb -x "$name"_*.deb deb)
	version=$(ls "$new/deb/lib/modules")
	depmod -b "$new/deb" "$version"
	mkdir -p "$new/kernel/usr/lib"
	mv "$new/deb/lib/modules" "$new/kernel/usr/lib/"
	mv "$new/deb/boot/vmlinuz-$version" "$new/kernel/vmlinuz"
}
kernel=$(dirname "$dir")/kernel
if [ -n "$vm" ] && [ ! -e "$kernel" ]; then
	apt-get update -q
	make_kernel
	mv "$new/kernel" "$kernel"
fi
