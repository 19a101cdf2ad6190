package systemd

import (
	"errors"
	"testing"
)

const (
	releaseTree = "/opt/koboshi/my app/releases/1.0-abc/tree"
	releaseUnit = `opt-koboshi-my\x20app-releases-1.0\x2dabc-tree.mount`
)

var release = Mount{What: "/opt/image", Where: releaseTree, Type: "erofs", Options: []string{"loop", "ro"}, Description: "a release"}

// mountable is a systemd whose mounts end with a result.
func mountable(result string) *fakeSystemd {
	f := &fakeSystemd{units: map[string]*fakeUnit{}}
	f.made = func(map[string]any) *fakeUnit {
		u := newUnit(result)
		u.fleeting = result == "failed"
		return u
	}
	return f
}

func TestMount(t *testing.T) {
	f := mountable("done")
	made := f.remember()
	m := f.start(t)
	if err := m.Mount(t.Context(), release); err != nil {
		t.Fatal(err)
	}
	wantProperties(t, made(), map[string]any{
		"Description": "a release", "What": "/opt/image", "Type": "erofs", "Options": "loop,ro",
		"LazyUnmount": true, "DefaultDependencies": false, "CollectMode": "inactive-or-failed",
	})
	if got, want := f.called(), "start "+releaseUnit+" fail"; got != want {
		t.Errorf("called %q, want %q", got, want)
	}
}

// A unit that is there already, as after a lost answer, is started.
func TestMountThatHasItsUnit(t *testing.T) {
	f := mountable("done")
	f.units[releaseUnit] = newUnit("done")
	m := f.start(t)
	if err := m.Mount(t.Context(), release); err != nil {
		t.Fatal(err)
	}
	if got, want := f.called(), "reset "+releaseUnit+", start "+releaseUnit+" fail"; got != want {
		t.Errorf("called %q, want %q", got, want)
	}
}

func TestMountFails(t *testing.T) {
	m := mountable("failed").start(t)
	err := m.Mount(t.Context(), release)
	if failed, ok := errors.AsType[*JobError](err); !ok || failed.Unit != releaseUnit {
		t.Errorf("%v", err)
	}
}

func TestMountWhoseAnswerIsLost(t *testing.T) {
	for _, when := range []string{"before", "after"} {
		f := mountable("done")
		f.cut = map[string]string{"start": when}
		m := f.start(t)
		if err := m.Mount(t.Context(), release); err != nil || f.left() != releaseUnit {
			t.Errorf("%s: %v, units %q", when, err, f.left())
		}
	}
}

func TestUnmount(t *testing.T) {
	f := mountable("done")
	f.units[releaseUnit] = newUnit("done")
	f.units[releaseUnit].fleeting = true
	m := f.start(t)
	for range 2 { // what is not mounted is a success
		if err := m.Unmount(t.Context(), releaseTree); err != nil || f.left() != "" {
			t.Errorf("%v, units %q", err, f.left())
		}
	}
	f.units[releaseUnit] = newUnit("failed")
	if _, ok := errors.AsType[*JobError](m.Unmount(t.Context(), releaseTree)); !ok {
		t.Error("a stop that failed was taken for a success")
	}
}
