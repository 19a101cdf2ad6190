#!/bin/sh
# No link may be left to a unit that goes; on an upgrade it stays. What runs is
# not stopped. dpkg says "remove", rpm counts what is left.
set -e
case "$1" in
remove | 0) systemctl disable koboshi-boot.service || true ;;
esac
