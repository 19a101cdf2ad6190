//go:build boottest && vm

package boottest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// moveNodeClock sets the clock over the end of the lease while the app runs, right again,
// back to before the beginning of its bounds, and right again.
const moveNodeClock = `up() { cut -d. -f1 /proc/uptime; }
base=$(($(date +%s)-$(up)))
off() { date --set=@$((base+$(up)+$1)); }
await() { for i in $(seq 300); do [ "$(systemctl is-active web.service)" = $1 ] && break; sleep 0.5; done; }
settled() { await active; until [ "$(systemctl is-active koboshi-boot.service)" = active ]; do sleep 0.5; done; }
look() { echo "$1: $(systemctl is-active web.service)" >>/var/lab/looks; }
settled; look "at first"
off 7200; await failed; look "over the end"; sleep 15; look "still there"
off 0; settled; look "right"
off -3600; await failed; look "set back"; sleep 15; look "still there"
off 0; settled; look "right"
systemctl --no-block poweroff
`

// TestVMNodeID moves the clock of a machine whose app has a node id. Where the clock is
// wrong no id is claimed. What the app can have used by it is in the mark.
func TestVMNodeID(t *testing.T) {
	t.Parallel()
	l := newLab(t, vmImage().with(node("range = [0, 3]\nunit = \"1ms\"\n")).with(files{
		bootUnit + ".d/proc.conf": "", watchUnit + ".d/proc.conf": "", wants + "observer.service": "",
		"/usr/local/bin/move-clock":              moveNodeClock,
		"/var/lab/.keep":                         "\n",
		"/etc/systemd/system/move-clock.service": "[Service]\nExecStart=/bin/sh /usr/local/bin/move-clock\n",
		wants + "move-clock.service":             "-> /etc/systemd/system/move-clock.service",
	}), kernel())
	for id := range 4 {
		l.aws.S3().Put("releases", object(id), fmt.Appendf(nil, `{"schema":1,"scope":"web","id":%d,"gen":3,"state":"free","owner":"i-0123456789abcdef0",`+
			`"nonce":"00112233445566778899aabbccddeeff","hw_ms":%d,"slack_ms":0,"written":"2026-11-28T12:56:50Z"}`, id, time.Now().Add(-time.Minute).UnixMilli()))
	}
	must(t, built.koboshi(nil, "install", "--root", l.root))
	l.promote("1.0.0")
	l.lifetime = 3 * vmLimit // the watch tries once a minute to start an app that has no id
	l.launch("")
	disk := l.makeDisk()
	must(t, l.startVM(disk).Wait())
	l.root = l.mountDisk(disk)
	looks, err := os.ReadFile(filepath.Join(l.root, "var/lab/looks"))
	must(t, err)
	same(t, "what was seen", string(looks), "at first: active\nover the end: failed\nstill there: failed\nright: active\nset back: failed\nstill there: failed\nright: active\n")
	l.wantMarks()
}

func object(id int) string { return fmt.Sprintf("apps/web/nodes/web/0000/%07d.json", id) }

// wantMarks: each id that is free has a mark above everything that was emitted with it.
func (l *lab) wantMarks() {
	l.Helper()
	free, used := 0, map[int]int64{}
	for _, e := range l.emitted() {
		used[e.id] = max(used[e.id], e.at)
	}
	for id, last := range used {
		data, _ := l.aws.S3().Object("releases", object(id))
		var item struct {
			State string `json:"state"`
			Mark  int64  `json:"hw_ms"`
		}
		must(l.T, json.Unmarshal(data, &item))
		l.Logf("id %d: emitted until %d, %s", id, last, data)
		if item.State == "free" {
			free++
		}
		if item.Mark < last {
			l.Errorf("id %d was emitted with at %d, above its mark %d", id, last, item.Mark)
		}
	}
	if free == 0 {
		l.Error("no id was given back")
	}
}
