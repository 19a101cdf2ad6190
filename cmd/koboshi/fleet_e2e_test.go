//go:build e2e

package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/faults"
	"koboshi/agent/failure"
)

// TestE2EFleet boots a hundred instances of one group, ten at a time, each a
// process with a disk, a metadata service and an app of its own. Auto Scaling
// throttles thirty of their calls.
func TestE2EFleet(t *testing.T) {
	const launches, atOnce, throttled = 100, 10, 30
	l := newLab(t)
	l.release("1", 0)
	disks, err := os.MkdirTemp(inMemory(), "koboshi-fleet")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(disks) })
	var boxes []*box
	for n := range launches {
		b := l.bare(filepath.Join(disks, fmt.Sprint(n)))
		b.relaunch(autoscaling.LaunchOptions{})
		b.override("20-patient", "[lifecycle]\nheartbeat_after = \"2m\"\n")
		boxes = append(boxes, b)
	}
	l.aws.Calls().Reset()
	l.aws.Faults().Add(faults.Fault{
		Service: "autoscaling", Operation: "CompleteLifecycleAction", Skip: 40, Times: throttled,
		Status: http.StatusBadRequest, Code: "Throttling", Message: "Rate exceeded",
	})
	begun := time.Now()
	codes := bootAll(boxes, atOnce)
	t.Logf("%d boots in %v, exits %v, calls of each:%s", launches, time.Since(begun).Round(time.Second), codes, l.callsEach(launches))
	if codes[failure.OK] != launches {
		t.Errorf("exits %v, want all %d", codes, failure.OK)
	}
	for _, b := range boxes {
		b.told("CONTINUE")
		b.serves("1")
	}
	calls := l.aws.Calls()
	if got := calls.Count("autoscaling", ""); got != launches+throttled || calls.Count("autoscaling", "CompleteLifecycleAction") != got {
		t.Errorf("%d calls of Auto Scaling, want one for each launch and each that was throttled: %d", got, launches+throttled)
	}
	for path, each := range map[string]int{"/channels/stable.json": 2, "/releases/1/manifest.json": 1, artifactPath: 1} {
		if got := len(calls.Filter(func(c faults.Call) bool { return c.Service == "s3" && strings.Contains(c.Path, path) })); got != each*launches {
			t.Errorf("%d calls for %s, want %d of each launch", got, path, each)
		}
	}
}

// bootAll boots so many at once and counts the exit codes.
func bootAll(boxes []*box, atOnce int) map[failure.Code]int {
	codes, slots := map[failure.Code]int{}, make(chan struct{}, atOnce)
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, b := range boxes {
		slots <- struct{}{}
		boot := b.start("boot")
		all.Go(func() {
			code := boot.wait().code
			<-slots
			mu.Lock()
			defer mu.Unlock()
			codes[code]++
		})
	}
	all.Wait()
	return codes
}

func (l *lab) callsEach(launches int) string {
	var text string
	for _, service := range []string{"imds", "s3", "autoscaling", "sts"} {
		text += fmt.Sprintf(" %s %.2f", service, float64(l.aws.Calls().Count(service, ""))/float64(launches))
	}
	return text
}
