package drain

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/agent/lifecycle"
	"koboshi/artifacts/durable/durabletest"
)

// A power cut at any moment leaves the record of a step that was under way. The drain
// that follows the reboot takes the instance out of service, and completes the action
// that waits once.
func TestPowerCut(t *testing.T) {
	begun, all := cutAnywhere(t)
	if len(all) < 8 {
		t.Errorf("%d states of the disk, want one a step at least", len(all))
	}
	for text, told := range all {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.boot, w.running, w.waits = "two", false, after(0) // the app is not started again
			if told {
				w.told = "CONTINUE" // before
			}
			d := w.drain(terminated)
			if text != "" {
				record, err := parse([]byte(text))
				if err != nil || record.Notice != begun.Notice || record.Instance != self {
					t.Fatalf("the disk has %q: %v", text, err)
				}
				d.Record = record
			}
			if ended := !d.Record.Open(); ended {
				if !told {
					t.Errorf("%s: the drain counts as over, and nothing was completed", text)
				}
				return
			}
			if err := d.Run(t.Context()); err != nil {
				t.Errorf("%s: %v", text, err)
			}
			if n := count(w.log, "CONTINUE"); w.running || n != map[bool]int{true: 0, false: 1}[told] || w.kept != 0 {
				t.Errorf("%s: running %v, %d completed, %d heartbeats go on", text, w.running, n, w.kept)
			}
			if w.since() > time.Minute {
				t.Errorf("%s: took %v", text, w.since())
			}
		})
	}
}

// cutAnywhere is every state of the record that a power cut may leave, with whether
// the action had been completed by then.
func cutAnywhere(t *testing.T) (begun Record, all map[string]bool) {
	t.Helper()
	disk := durabletest.New(t)
	all = map[string]bool{}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		disk.After = func(string) {
			for _, text := range left(t, disk) {
				if told, found := all[text]; !found || told {
					all[text] = w.told != ""
				}
			}
		}
		d := w.drain(terminated)
		d.Save = func(r Record) error {
			err := r.Save(disk)
			begun = r
			return err
		}
		if err := d.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	return begun, all
}

// left is the record in each state of a power cut, "" for none.
func left(t *testing.T, disk *durabletest.Disk) (all []string) {
	t.Helper()
	for s := range disk.States() {
		dir := t.TempDir()
		if err := s.WriteTo(dir); err != nil {
			t.Fatal(err)
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		data, err := root.ReadFile(File)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		_ = root.Close()
		all = append(all, string(data))
	}
	return all
}

// What was reported as saved stays saved: no fsync and no rename can be left out.
func TestNoCallCanBeLeftOut(t *testing.T) {
	before := Record{Instance: self, Step: "let-go"}
	after := Record{Instance: self, Step: "stop", Stopped: true}
	saved := func() *durabletest.Disk {
		disk := durabletest.New(t)
		if err := before.Save(disk); err != nil {
			t.Fatal(err)
		}
		return disk
	}
	disk := saved()
	first := disk.Calls()
	if err := after.Save(disk); err != nil {
		t.Fatal(err)
	}
	for i := range disk.Calls() - first {
		disk, lost := saved(), ""
		disk.Lose = func(n int, call string) bool {
			if n == first+i {
				lost = call
			}
			return n == first+i
		}
		err := after.Save(disk)
		stays := err != nil
		for _, text := range left(t, disk) {
			if r, _ := parse([]byte(text)); r.Step != after.Step {
				stays = true // what was lost is missed
			}
		}
		if !stays {
			t.Errorf("%s could be left out", lost)
		}
	}
}

// A reboot in any step: what was under way is gone on with in the new boot, in time,
// and the app that does not run any more is not stopped a second time.
func TestARebootInEachStep(t *testing.T) {
	seen := map[string]bool{}
	for down := range 60 {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.stops, w.slow = 7*time.Second, 9*time.Second
			ctx, off := context.WithCancel(t.Context())
			time.AfterFunc(time.Duration(down)*time.Second, off)
			if w.drain(terminated).Run(ctx) == nil {
				return // it was over before
			}
			last := w.saved[len(w.saved)-1]
			seen[last.Step] = true
			stopped := count(w.log, "stopped")
			w.boot, w.running = "two", false
			second := w.drain(terminated)
			second.Record = last
			if err := second.Run(t.Context()); err != nil {
				t.Errorf("down after %d s, in %s: %v", down, last.Step, err)
			}
			if w.told != string(lifecycle.Continue) || count(w.log, "stopped") != stopped || count(w.log, "flushed") < 1 {
				t.Errorf("down after %d s, in %s: completed with %q: %v", down, last.Step, w.told, w.log)
			}
		})
	}
	for _, step := range []string{"let-go", "stop", "flush"} {
		if !seen[step] {
			t.Errorf("no reboot in %s", step)
		}
	}
}
