#!/bin/sh
# Nothing is started or enabled here: an image is being made, or its maker
# decides. `koboshi install` enables the unit once there is a configuration.
set -e
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
fi
