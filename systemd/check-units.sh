#!/bin/sh
# Checks the unit files as systemd itself does: `verify` must print nothing, and
# the exposure score of `security` must stay under LIMIT (10 x the score).
#
#	check-units.sh LIMIT
set -eu
limit=$1
cd "$(dirname "$0")/units"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# verify fails where the program is missing.
cp *.service "$work"
sed -i 's#/usr/local/bin/koboshi#/bin/true#' "$work"/*.service
for unit in *.service *.timer; do
	case $unit in *.timer) cp "$unit" "$work" ;; esac
	said=$(cd "$work" && systemd-analyze verify --man=no "./$unit" 2>&1) || true
	if [ -n "$said" ]; then
		echo "systemd-analyze verify $unit: $said" >&2
		exit 1
	fi
	case $unit in *.timer) continue ;; esac
	if ! security=$(systemd-analyze security --offline=true --threshold="$limit" "$work/$unit"); then
		echo "$security" >&2
		exit 1
	fi
	echo "$security" | tail -n 1
done
