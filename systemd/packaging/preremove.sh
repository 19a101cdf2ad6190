#!/bin/sh
# Removes the links that enable the units, of every app, unless this is an upgrade.
# Nothing that runs is stopped. dpkg passes "remove", rpm the number of versions that stay.
set -e
case "$1" in
remove | 0) systemctl disable koboshi-boot.service koboshi-boot@.service koboshi-watch.service koboshi-watch@.service koboshi-sync.timer koboshi-sync@.timer || true ;;
esac
