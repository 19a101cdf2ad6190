package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"koboshi/artifacts"
)

// A run of this test binary with these in its environment kills itself.
const (
	crashDir  = "STORE_TEST_CRASH_DIR"
	crashStep = "STORE_TEST_CRASH_STEP" // the step that it dies before, from 1; 0 = none
	crashKey  = "STORE_TEST_CRASH_KEY"  // the signing key of the test
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		if err := dieWhileUpdating(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func dieWhileUpdating(dir string) error {
	at, err := strconv.Atoi(os.Getenv(crashStep))
	if err != nil {
		return err
	}
	if key, err = artifacts.ParsePrivateKey([]byte(os.Getenv(crashKey))); err != nil {
		return err
	}
	if trust, err = artifacts.NewTrust("1.0.0", 1, key.Public()); err != nil {
		return err
	}
	s, err := Open(dir, trust)
	if err != nil {
		return err
	}
	step := 0
	s.before = func(string) error {
		if step++; step == at {
			return syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		return nil
	}
	return update(s)
}

// update is a whole deployment of version 2.
func update(s *Store) error {
	r, err := s.Stage(context.Background(), files{"bin/web": "2"}.release("2", artifacts.TarZst, true))
	if err != nil {
		return err
	}
	if err := s.Activate(r); err != nil {
		return err
	}
	if err := s.MarkHealthy(r, Place{Instance: "i-1"}, noon); err != nil {
		return err
	}
	_, err = s.Prune(context.Background(), 2)
	return err
}

// deployed is a store whose current release is version 1, with a version 0 that
// is not needed.
func deployed(t *testing.T) *Store {
	t.Helper()
	s := open(t)
	stage(t, s, "0")
	old := stage(t, s, "1")
	healthyNow(t, s, old, "i-1", noon)
	activate(t, s, old)
	return s
}

// Killed before any step of a deployment, the store has the old release or
// the new one, whole; and the next deployment succeeds as if nothing had been.
func TestKilledAtEveryStep(t *testing.T) {
	pem := must(key.MarshalPEM())
	kills := 0
	for step, done := 1, false; !done; step++ {
		s := deployed(t)
		child := exec.CommandContext(t.Context(), os.Args[0])
		child.Env = append(os.Environ(), crashDir+"="+s.Dir(), crashStep+"="+strconv.Itoa(step), crashKey+"="+string(pem))
		out, err := child.CombinedOutput()
		exit, failed := errors.AsType[*exec.ExitError](err)
		switch {
		case err == nil:
			done = true
		case failed && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL:
			kills++
		default:
			t.Fatalf("step %d: %v: %s", step, err, out)
		}
		checkWhole(t, s, step)
		if err := update(s); err != nil {
			t.Errorf("the deployment after a kill at step %d: %v", step, err)
		}
		checkUpdated(t, s, step)
	}
	if kills < 10 {
		t.Errorf("killed %d times: the steps are not announced any more", kills)
	}
}

func checkWhole(t *testing.T, s *Store, step int) {
	t.Helper()
	current, ok, err := s.Current()
	if !ok || err != nil {
		t.Fatalf("killed at step %d: no current release: %v", step, err)
	}
	all := must(s.Releases())
	if !slices.ContainsFunc(all, func(r Release) bool { return r.ID() == current.ID() }) {
		t.Errorf("killed at step %d: current is %s of %v", step, current.ID(), ids(all))
	}
	for _, r := range all {
		if diff, err := s.Verify(t.Context(), r); err != nil || !diff.Clean() {
			t.Errorf("killed at step %d: %s: %+v, %v", step, r.ID(), diff, err)
		}
		if text := must(os.ReadFile(filepath.Join(r.Dir(), "bin/web"))); string(text) != r.Version() {
			t.Errorf("killed at step %d: %s holds %q", step, r.ID(), text)
		}
	}
}

func checkUpdated(t *testing.T, s *Store, step int) {
	t.Helper()
	current, _, err := s.Current()
	if err != nil || current.Version() != "2" || !current.HealthyOn("i-1") {
		t.Errorf("after a kill at step %d and another run: current %s, %v", step, current.ID(), err)
	}
	left := must(os.ReadDir(filepath.Join(s.Dir(), stagingDir)))
	temporary := must(filepath.Glob(filepath.Join(s.Dir(), ".tmp-*")))
	if len(left)+len(temporary) > 0 {
		t.Errorf("after a kill at step %d and another run: left %v %v", step, left, temporary)
	}
}

// The order that makes a crash harmless: everything is on the disk before the
// marker, the marker before the release, the previous link before the swap.
func TestOrderOfSteps(t *testing.T) {
	s := deployed(t)
	var steps []string
	s.before = func(step string) error {
		steps = append(steps, step)
		if locked := !s.mu.TryLock(); locked != slices.Contains([]string{"publish", "link previous", "link current", "write healthy", "retire"}, step) {
			t.Errorf("%s: others are kept out: %v", step, locked)
		} else if !locked {
			s.mu.Unlock()
		}
		return nil
	}
	if err := update(s); err != nil {
		t.Fatal(err)
	}
	want := "stage, write documents, sync the tree, write complete, publish, link previous, link current, write healthy, retire, sweep"
	if got := strings.Join(steps, ", "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
