#!/bin/sh
# shippers.sh DIR: rsyslog, syslog-ng and systemd-journal-upload, with what they
# need, unpacked into DIR from Debian's packages. They are not installed: rsyslog
# and syslog-ng exclude each other, and none of them may run as a service here.
set -eu
dir=$(realpath -m "$1")
downloads=$(mktemp -d)
trap 'rm -rf "$downloads"' EXIT
cd "$downloads"
download() {
	apt-get -q download \
		rsyslog rsyslog-relp libestr0 libfastjson4 liblognorm5 librelp0 \
		syslog-ng-core libivykis0 libnet1 libpcre3 libwrap0 libjson-c5 libglib2.0-0 \
		systemd-journal-remote libmicrohttpd12
}
download || { # the lists of packages may be missing or old
	apt-get -q update
	download
}
rm -rf "$dir.new"
for package in *.deb; do
	dpkg -x "$package" "$dir.new"
done
rm -rf "$dir"
mv "$dir.new" "$dir"
touch "$dir" # it has the time of a package
