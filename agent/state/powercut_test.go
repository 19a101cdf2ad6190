package state

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"koboshi/artifacts/durable/durabletest"
)

// left is the file that each state of a power cut has, "" for none.
func left(t *testing.T, d *durabletest.Disk) (all []string) {
	t.Helper()
	for s := range d.States() {
		dir := t.TempDir()
		if err := s.WriteTo(dir); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(filepath.Join(dir, File))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		all = append(all, string(data))
	}
	return slices.Compact(all)
}

func text(t *testing.T, s State) string {
	t.Helper()
	data, err := encode(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// saved is a disk with an empty state.
func saved(t *testing.T) *durabletest.Disk {
	t.Helper()
	d := durabletest.New(t)
	if err := errors.Join((State{}).Save(d), d.SyncFS(nil)); err != nil {
		t.Fatal(err)
	}
	return d
}

// A power cut leaves the old state or the new one, and what was reported as saved
// stays saved. No fsync and no rename can be left out.
func TestPowerCut(t *testing.T) {
	was, is := text(t, State{}), text(t, full())
	d := saved(t)
	before := d.Calls()
	d.After = func(change string) {
		for _, got := range left(t, d) {
			if got != was && got != is {
				t.Errorf("%s: %q", change, got)
			}
		}
	}
	if err := full().Save(d); err != nil {
		t.Fatal(err)
	}
	if got := left(t, d); !slices.Equal(got, []string{is}) {
		t.Errorf("after success: %q", got)
	}
	for i := range d.Calls() - before {
		d, lost := saved(t), ""
		d.Lose = func(n int, call string) bool {
			if n == before+i {
				lost = call
			}
			return n == before+i
		}
		if err := full().Save(d); err == nil && slices.Equal(left(t, d), []string{is}) {
			t.Errorf("%s could be left out", lost)
		}
	}
}

// A run was killed before its last fsync: the next one, which has nothing to
// write, does not report success for what may still be lost.
func TestSaveAfterAKill(t *testing.T) {
	d := saved(t)
	d.Lose = func(_ int, call string) bool { return call == "fsync of ." }
	if err := full().Save(d); err != nil {
		t.Fatal(err)
	}
	d.Lose = nil
	if err := full().Save(d); err != nil {
		t.Fatal(err)
	}
	if got := left(t, d); !slices.Equal(got, []string{text(t, full())}) {
		t.Errorf("a power cut leaves %q", got)
	}
}
