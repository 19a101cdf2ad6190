#!/bin/sh
# shippers.sh DIR: rsyslog, syslog-ng and systemd-journal-upload, with what they
# need, unpacked into DIR from Debian's packages. They are not installed: rsyslog
# and syslog-ng exclude each other, and none of them may run as a service here.
set -eu
dir=$1
downloads=$(mktemp -d)
trap 'rm -rf "$downloads"' EXIT
cd "$downloads"
apt-get -q download \
	rsyslog rsyslog-relp libestr0 libfastjson4 liblognorm5 librelp0 \
	syslog-ng-core libivykis0 libnet1 libwrap0 libjson-c5 libglib2.0-0 \
	systemd-journal-remote libmicrohttpd12
rm -rf "$dir.new"
for package in *.deb; do
	dpkg -x "$package" "$dir.new"
done
rm -rf "$dir"
mv "$dir.new" "$dir"
