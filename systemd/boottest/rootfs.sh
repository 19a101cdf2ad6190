#!/bin/sh
# Makes the root filesystem that boottest boots, once: Debian 12 with systemd
# and cloud-init, in DIR. It also installs what the containers need on the host.
#
#	rootfs.sh DIR    DIR is there when it is complete
set -eu
dir=$1

missing=
for tool in mmdebstrap:mmdebstrap systemd-nspawn:systemd-container ip:iproute2; do
	command -v "${tool%:*}" >/dev/null || missing="$missing ${tool#*:}"
done
if [ -n "$missing" ]; then
	apt-get update -q
	# shellcheck disable=SC2086
	DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $missing
fi

[ ! -e "$dir" ] || exit 0
mkdir -p "$(dirname "$dir")"
new=$(mktemp -d "$dir.XXXXXX")
trap 'rm -rf "$new"' EXIT

make_root() {
	mmdebstrap --variant=minbase --format=directory --include=systemd-sysv,udev,dbus,kmod,iproute2,cloud-init \
		--customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*' bookworm "$new/root"
}
echo "the root filesystem is made once, in two or three minutes: $dir"
make_root || { echo "once more: a mirror may have hiccuped"; rm -rf "$new/root"; make_root; }
: >"$new/root/etc/resolv.conf" # cloud-init would wait 40 s for a name server
mv "$new/root" "$dir"
