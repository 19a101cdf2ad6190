//go:build e2e

package main

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"koboshi/agent/awstest/autoscaling"
)

const (
	mib = 1 << 20
	// maxMemory is what a boot may have resident at its peak.
	maxMemory = 200 * mib
	// memoryNoise is by how much two boots of the same artifact may differ.
	memoryNoise = 8 * mib
)

// TestE2EGoToolchain publishes, boots and verifies a real tree: the toolchain
// that runs this test, with some 16,000 files.
func TestE2EGoToolchain(t *testing.T) {
	l := newLab(t)
	root, err := exec.Command("go", "env", "GOROOT").Output()
	must(t, err)
	tree := strings.TrimSpace(string(root))
	timed(t, "publish", func() { l.publish("1", tree) })
	l.promote("1")
	artifact, _ := l.aws.S3().Object("releases", l.artifactKey("1"))
	b := l.large()
	var peak int64
	timed(t, fmt.Sprintf("boot of %d MB packed", len(artifact)/1e6), func() { peak = b.bootPeak() })
	t.Logf("peak memory: %d MiB", peak/mib)
	if peak > maxMemory {
		t.Errorf("%d MiB at the peak, want at most %d", peak/mib, maxMemory/mib)
	}
	b.told("CONTINUE")
	timed(t, "verify", func() { b.verifies("1") })
	b.whole(map[string]string{"1": tree})
	b.tidy()

	asked := len(b.calls("s3", "/releases/1/web-"))
	timed(t, "second boot", func() { b.exits(0, "boot") })
	if n := len(b.calls("s3", "/releases/1/web-")); n != asked {
		t.Errorf("a second boot asked %d times for the artifact or its index", n-asked)
	}
}

// TestE2EMemory boots artifacts of two sizes, both larger than all buffers of a
// download together. Memory does not follow the size.
func TestE2EMemory(t *testing.T) {
	l := newLab(t)
	sizes := map[string]int{"small": 128 * mib, "large": 512 * mib}
	for version, size := range sizes {
		tree := l.tree(version, size)
		l.publish(version, tree)
		must(t, os.RemoveAll(tree))
	}
	least := map[string]int64{}
	for range 2 {
		for version := range sizes {
			l.promote(version)
			b := l.large()
			peak := b.bootPeak()
			b.told("CONTINUE")
			b.relieve()
			t.Logf("%s: %d MiB", version, peak/mib)
			least[version] = min(peak, cmp.Or(least[version], peak))
		}
	}
	if least["large"] > least["small"]+memoryNoise {
		t.Errorf("%d MiB for %d MiB, %d for %d: memory grows with the artifact",
			least["large"]/mib, sizes["large"]/mib, least["small"]/mib, sizes["small"]/mib)
	}
	if least["large"] > maxMemory {
		t.Errorf("%d MiB at the peak, want at most %d", least["large"]/mib, maxMemory/mib)
	}
}

// large is a box with longer time limits.
func (l *lab) large() *box {
	l.Helper()
	b := l.launch(autoscaling.LaunchOptions{})
	b.override("20-patient", "[health]\ntimeout = \"1m\"\n")
	return b
}

// relieve frees the disk space of the box.
func (b *box) relieve() {
	b.Helper()
	stopApp(b.pid)
	must(b.T, os.RemoveAll(b.path("opt")))
}

// bootPeak boots, and returns the most memory that was resident, in bytes. It
// is the kernel's own mark (VmHWM of proc(5)), read until the process has gone:
// ru_maxrss would begin with what this test itself has resident.
func (b *box) bootPeak() (peak int64) {
	b.Helper()
	boot := b.start("boot")
	gone := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			peak = max(peak, highWater(boot.cmd.Process.Pid))
			select {
			case <-tick.C:
			case <-gone:
				return
			}
		}
	})
	r := boot.wait()
	close(gone)
	watch.Wait()
	r.want(b.T, 0)
	if peak == 0 {
		b.Fatal("the peak was not seen")
	}
	return peak
}

// highWater is VmHWM of a process in bytes, 0 once it has ended.
func highWater(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	var kib int64
	if _, err := fmt.Sscanf(rest, "%d kB", &kib); err != nil {
		return 0
	}
	return kib << 10
}

// timed logs how long a call took.
func timed(t *testing.T, what string, do func()) {
	t.Helper()
	began := time.Now()
	do()
	t.Logf("%s: %v", what, time.Since(began).Round(time.Millisecond))
}
