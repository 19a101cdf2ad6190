#!/usr/bin/env bash
# The main job of koboshi on a loopback AWS: publish a release, boot an
# instance, promote another release, boot a second instance, give each of two
# instances a node id and a third one that was freed, roll a release out to half
# of four instances and abort that, and refuse a release that was changed in the
# bucket. The second release has an image, which is mounted where
# this machine allows that. Everything happens in a temporary
# directory and on 127.0.0.0/8, and nothing is left behind.
#
#	demo.sh BIN    BIN holds koboshi and koboshi-mock
set -euo pipefail

bin=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
PATH="$bin:$PATH"
GOCACHE=$(go env GOCACHE)
export GOCACHE XDG_CACHE_HOME="$work/cache"

finish() {
	trap '' INT TERM HUP # once is enough
	for pid in "$work"/*/run/web.pid; do
		if [ -e "$pid" ]; then kill "$(cat "$pid")" 2>/dev/null || true; fi
	done
	for pid in ${watches:-} ${booting:-} ${deploy:-} ${mock:-}; do kill "$pid" 2>/dev/null || true; done
	wait # a boot that was interrupted mounts nothing after this
	for tree in "$work"/*/opt/releases/*/tree; do
		if mountpoint -q "$tree"; then umount --lazy "$tree"; fi
	done
	rm -rf "$work"
}
trap finish EXIT
cd "$work"

bold= reset=
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$'\e[1m' reset=$'\e[0m'; fi
say() { printf '\n%s%s%s\n' "$bold" "$*" "$reset"; }
show() { # the command as a user would type it, then what it prints
	local word line='$'
	for word; do
		case $word in
		'' | *[!A-Za-z0-9_./:=,@%+-]*) line+=" '$word'" ;;
		*) line+=" $word" ;;
		esac
	done
	printf '%s\n' "$line"
	"$@"
}

boot() { # show, of a boot that is stopped with this script
	printf '$ koboshi --config %s.toml boot\n' "$1"
	koboshi --config "$1.toml" boot &
	booting=$!
	wait "$booting"
}

quietly() { # what it prints only where it fails
	"$@" >quiet.log 2>&1 || { cat quiet.log; return 1; }
}
operator() { # show, with the credentials of a laptop
	# shellcheck disable=SC1091
	(. ./mock.env && show "$@")
}

# configure NAME writes the configuration of an instance. On EC2 every instance
# has its own disk and address; here they share a laptop.
configure() {
	cat >"$work/$1.toml" <<EOF
app      = "web"
source   = "s3://releases/apps"
[trust]
keys     = ["$work/release.pub"]
[install]
root     = "$work/$1/opt"
[service]
restart  = ["./web", "restart", "$2:8080", "$work/$1/run/web.pid"]
stop     = ["$work/$1/opt/current/web", "stop", "$2:8080", "$work/$1/run/web.pid"]
[health]
url      = "http://$2:8080/healthz"
timeout  = "20s"
bake     = "1s"
[lifecycle]
abandon_delay = "0s"
[state]
dir      = "$work/$1/state"
run      = "$work/$1/run"
EOF
}

# launch NAME ADDRESS makes Auto Scaling launch an instance and points this
# shell's metadata at it, as if it ran there.
launch() {
	configure "$1" "$2"
	koboshi-mock launch --group web >"$1.env"
	# shellcheck disable=SC1090
	. "./$1.env"
	echo "Auto Scaling launched $INSTANCE_ID; its lifecycle action waits: $(koboshi-mock state "$INSTANCE_ID")"
}

# number NAME has an instance given a node id. What gives it keeps it: koboshi watch runs
# beside the app, on EC2 as a service. The app keeps the bounds of its id itself.
number() {
	cat >>"$work/$1.toml" <<EOF
[node_id]
scope    = "web"
range    = [0, 1]
aware    = true
EOF
	koboshi --config "$1.toml" watch >"$1.log" 2>&1 &
	watches="${watches:-} $!"
}

build() { # VERSION
	mkdir -p "$work/web-$1"
	(cd "$here/web" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$1" -o "$work/web-$1/web" .)
}

say "1. A loopback AWS: S3, Auto Scaling, and metadata for each instance"
koboshi-mock serve --bucket releases --group web --launch-hook koboshi-launching --terminate-hook koboshi-terminating --hook-timeout 60s \
	--ready-file mock.env >/dev/null &
mock=$!
until [ -e mock.env ]; do sleep 0.05; done
# shellcheck disable=SC1091
. ./mock.env
echo "listening at $AWS_ENDPOINT_URL"

say "2. A release: built, signed, published; the channel \"stable\" points to it"
build 1.0.0
show koboshi keygen --out release
show koboshi publish --source s3://releases/apps --app web --version 1.0.0 --key release.key web-1.0.0
show koboshi promote --source s3://releases/apps --app web --channel stable --version 1.0.0 --key release.key

say "3. An instance boots: nothing is baked in, the channel decides"
launch one 127.0.0.11
boot one
show koboshi --config one.toml status --timeline
show web-1.0.0/web get http://127.0.0.11:8080/
echo "its state in the group: $(koboshi-mock state "$INSTANCE_ID")"

say "4. Version 2, with an image, is promoted; the next instance mounts it, or takes the tree and says why"
build 2.0.0
# shellcheck disable=SC1091
. ./mock.env
show koboshi publish --source s3://releases/apps --app web --version 2.0.0 --image erofs --key release.key web-2.0.0
show koboshi promote --source s3://releases/apps --app web --channel stable --version 2.0.0 --key release.key
launch two 127.0.0.12
printf '[install]\nimages = "auto"\n' >images.toml
mkdir two.d && mv images.toml two.d/
boot two
echo "its release is on $(findmnt -n -o FSTYPE,OPTIONS -T two/opt/current/web)"
show web-2.0.0/web get http://127.0.0.12:8080/
echo "its state in the group: $(koboshi-mock state "$INSTANCE_ID")"

say "5. Two instances get different node ids; one leaves, and the next takes the id that it freed"
for name in three four; do
	launch $name "127.0.0.1$([ $name = three ] && echo 3 || echo 4)"
	number $name
	quietly koboshi --config $name.toml boot
	[ $name = four ] || leaving=$INSTANCE_ID
done
operator koboshi --config four.toml node-id list
show web-2.0.0/web get http://127.0.0.13:8080/id
show web-2.0.0/web get http://127.0.0.14:8080/id
koboshi-mock terminate "$leaving"
koboshi-mock wait "$leaving" Terminated
echo "$leaving has left the group"
launch five 127.0.0.15
number five
quietly koboshi --config five.toml boot
operator koboshi --config five.toml node-id list
show web-2.0.0/web get http://127.0.0.15:8080/id

say "6. Version 2.3.0 is rolled out to half of the instances, and aborted"
build 2.3.0
# shellcheck disable=SC1091
. ./mock.env
quietly koboshi publish --source s3://releases/apps --app web --version 2.3.0 --key release.key web-2.3.0
show koboshi promote --source s3://releases/apps --app web --channel stable --version 2.3.0 --percent 50 --reason "half of them first" --key release.key
last=20
for name in seven eight nine ten; do
	launch $name "127.0.0.$((++last))"
	printf '[fleet]\nreport = true\n' >>"$name.toml"
	quietly koboshi --config $name.toml boot
	show koboshi --config $name.toml status | grep -E '^([$]|release|rollout) '
done
operator koboshi rollout status --source s3://releases/apps --app web --channel stable
operator koboshi fleet --source s3://releases/apps --app web
operator koboshi promote --source s3://releases/apps --app web --channel stable --abort --reason "that was the demo" --key release.key
for name in seven eight nine ten; do
	# shellcheck disable=SC1090
	(. "./$name.env" && quietly koboshi --config $name.toml sync && koboshi --config $name.toml status | grep '^release ')
done
operator koboshi fleet --source s3://releases/apps --app web --html fleet.html
operator koboshi releases --source s3://releases/apps --app web --trust release.pub --history stable

say "7. One byte changes in the bucket: the next instance refuses it and is replaced"
koboshi-mock fault '{"service": "s3", "operation": "GetObject", "path": "releases/2.0.0/web-", "corrupt": 100000}' >/dev/null
launch six 127.0.0.16
code=0
boot six || code=$?
echo "exit code $code; its state in the group: $(koboshi-mock state "$INSTANCE_ID")"
[ "$code" -eq 16 ]

say "8. A deploy under guard is killed: the group stays suspended, the next deploy is refused, a repair puts it back"
# shellcheck disable=SC1091
. ./mock.env
koboshi-mock group shop
koboshi-mock scale shop 4
guarded="--source s3://releases/apps --app web --group shop"
# shellcheck disable=SC2086,SC2016
koboshi guard run $guarded --holder ci-7 --reason "deploy 3.0.0" -- sh -c 'echo "$KOBOSHI_GUARD_FENCE" >deploying; exec sleep 1000' &
deploy=$!
until [ -s deploying ]; do sleep 0.05; done
echo "an alarm wants a fifth instance: $(koboshi-mock trigger shop AlarmNotification 5)"
kill -KILL "$deploy"
wait "$deploy" 2>/dev/null || true
code=0
# shellcheck disable=SC2086
{
	show koboshi guard status $guarded
	show koboshi guard run $guarded -- echo "this does not run" || code=$?
	[ "$code" -eq 23 ]
	show koboshi guard repair $guarded --force
	show koboshi guard run $guarded -- echo "this deploy runs"
}
echo "an alarm wants a fifth instance: $(koboshi-mock trigger shop AlarmNotification 5)"

say "That was koboshi: only what was signed comes into service, and the group always learns how it ended"
