//go:build e2e

package main

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/failure"
)

// TestE2EKilledBoot kills a boot with SIGKILL before each of its mutating system
// calls in turn. Each release is then whole or absent, and the next boot brings
// the instance into service.
func TestE2EKilledBoot(t *testing.T) {
	l := newLab(t)
	trees := map[string]string{"1": l.release("1", 64<<10)}
	all := l.launch(autoscaling.LaunchOptions{}).mutations("boot")
	t.Logf("a boot makes %d mutating calls", len(all))
	for n := range all {
		t.Run(fmt.Sprintf("%d", n), func(t *testing.T) {
			t.Parallel()
			b := l.on(t).launch(autoscaling.LaunchOptions{})
			b.killAt(n, "boot")
			b.whole(trees)
			b.exits(0, "boot")
			b.told("CONTINUE")
			b.converged(trees, "1")
		})
	}
}

// TestE2EKilledSync does the same to a live machine that goes from version 1 to
// 2: at every point one of them is there and whole.
func TestE2EKilledSync(t *testing.T) {
	l := newLab(t)
	trees := map[string]string{"1": l.release("1", 64<<10), "2": l.tree("2", 96<<10)}
	l.publish("2", trees["2"])
	live := func(t *testing.T) *box {
		b := l.on(t).launch(autoscaling.LaunchOptions{})
		b.override("20-channel", "channel = \"stable\"\n")
		b.exits(0, "boot")
		b.override("20-channel", "channel = \"canary\"\n")
		return b
	}
	l.publisher("promote", "--channel", "canary", "--version", "2")
	all := live(t).mutations("sync")
	t.Logf("a sync makes %d mutating calls", len(all))
	for n := range all {
		t.Run(fmt.Sprintf("%d", n), func(t *testing.T) {
			t.Parallel()
			b := live(t)
			b.killAt(n, "sync")
			if b.current() == "" {
				t.Error("no release is current")
			}
			b.whole(trees)
			b.exits(0, "sync")
			b.converged(trees, "2")
		})
	}
}

// on is the same lab for another test.
func (l *lab) on(t *testing.T) *lab {
	other := *l
	other.T = t
	return &other
}

// mutations is what an undisturbed run does.
func (b *box) mutations(command string) (all []mutation) {
	b.Helper()
	r, err := trace(b.T, b.env(), append([]string{b.koboshi}, b.args(command)...), func(m mutation) bool {
		all = append(all, m)
		return true
	})
	must(b.T, err)
	r.want(b.T, 0)
	return all
}

// killAt kills a run before its nth mutation, counted from 0.
func (b *box) killAt(n int, command string) {
	b.Helper()
	b.endAt(n, command, func() {})
}

// endAt is killAt with a call before the kill.
func (b *box) endAt(n int, command string, first func()) {
	b.Helper()
	b.endWhen(func(mutation) bool { n--; return n < 0 }, command, first)
}

// endWhen is endAt before the first mutation for which when is true.
func (b *box) endWhen(when func(mutation) bool, command string, first func()) {
	b.Helper()
	var last mutation
	over := false
	r, err := trace(b.T, b.env(), append([]string{b.koboshi}, b.args(command)...), func(m mutation) bool {
		last = m
		if !over && when(m) { // other threads may get here once more
			over = true
			first()
		}
		return !over
	})
	must(b.T, err)
	if !r.killed {
		b.Fatalf("%s was not killed: exit %d\n%s", command, r.code, r.output)
	}
	b.Logf("killed before %s", last)
}

// whole asserts that every visible release is as it was published, and that
// current points to one of them or does not exist. The first release of a machine
// may be visible before it counts as one: then it is none, and nothing else is here.
func (b *box) whole(trees map[string]string) {
	b.Helper()
	releases, err := filepath.Glob(b.path("opt", "releases", "*"))
	must(b.T, err)
	current := b.current()
	if len(releases) == 1 && !settled(releases[0]) {
		releases, current = nil, ""
	}
	for _, release := range releases {
		version := filepath.Base(release)[:1]
		if !settled(release) {
			b.Errorf("%s has no completion marker", release)
		}
		if left, err := os.ReadDir(filepath.Join(release, "tree")); err == nil && len(left) == 0 && isImage(release) {
			continue // it is mounted when it is started; what is current is verified below
		}
		if diff := difference(snapshot(b.T, trees[version]), snapshot(b.T, filepath.Join(release, "tree"))); diff != "" {
			b.Errorf("%s is not what was published:\n%s", release, diff)
		}
	}
	if current == "" {
		b.exits(failure.Resolve, "verify")
	} else {
		b.exits(0, "verify")
	}
}

// isImage reports whether the tree of a release is mounted.
func isImage(release string) bool {
	_, err := os.Stat(filepath.Join(release, "meta", "image"))
	return err == nil
}

// settled reports whether a release has its completion marker.
func settled(release string) bool {
	_, err := os.Stat(filepath.Join(release, "meta", "complete"))
	return err == nil
}

// converged asserts a machine that is where it should be, and clean.
func (b *box) converged(trees map[string]string, version string) {
	b.Helper()
	b.verifies(version)
	b.whole(trees)
	b.serves(version)
	b.tidy()
}

// snapshot is a complete description of a tree, one line a path.
func snapshot(t *testing.T, top string) string {
	t.Helper()
	var text strings.Builder
	must(t, filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == top {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		var data []byte
		switch {
		case info.Mode().IsRegular():
			data, err = os.ReadFile(path)
		case info.Mode().Type() == fs.ModeSymlink:
			var target string
			target, err = os.Readlink(path)
			data = []byte(target)
		}
		fmt.Fprintf(&text, "%s %v %.12x\n", path[len(top):], info.Mode(), sum(data))
		return err
	}))
	return text.String()
}

// difference is the lines that only one of two snapshots has.
func difference(want, got string) string {
	lines := map[string]int{}
	for line := range strings.Lines(want) {
		lines["- "+line]++
	}
	for line := range strings.Lines(got) {
		if lines["- "+line]--; lines["- "+line] < 0 {
			delete(lines, "- "+line)
			lines["+ "+line]++
		}
	}
	var text strings.Builder
	for _, line := range slices.Sorted(maps.Keys(lines)) {
		if lines[line] > 0 {
			text.WriteString(line)
		}
	}
	return text.String()
}
