#!/bin/sh
# Nothing is started or enabled here, since there is no configuration yet:
# `koboshi install` enables the unit once there is one.
set -e
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
fi
