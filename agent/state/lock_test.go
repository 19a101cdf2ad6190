package state

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/agent/report/reporttest"
)

func mustLock(t *testing.T, dir *os.Root, command string) (unlock func()) {
	t.Helper()
	unlock, err := Lock(t.Context(), dir, command, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(unlock)
	return unlock
}

func TestLockNamesItsOwner(t *testing.T) {
	dir := reporttest.OpenDir(t)
	unlock := mustLock(t, dir, "sync")
	_, err := Lock(t.Context(), dir, "boot", false)
	locked, ok := errors.AsType[*LockedError](err)
	if !ok || !errors.Is(err, ErrLocked) || locked.PID != os.Getpid() || locked.Command != "sync" || time.Since(locked.Since) > time.Hour {
		t.Fatalf("error %#v", err)
	}
	locked.PID, locked.Since = 123, time.Date(2026, 11, 21, 10, 2, 11, 0, time.UTC)
	if got, want := locked.Error(), "the lock is held by PID 123 (koboshi sync, since 10:02:11)"; got != want {
		t.Errorf("error %q, want %q", got, want)
	}
	unlock()
	if text := reporttest.Content(t, dir, lockFile); text != "" {
		t.Errorf("a lock that is free names an owner: %s", text)
	}
	mustLock(t, dir, "boot")
	if text := reporttest.Content(t, dir, lockFile); !strings.Contains(text, `"pid":`+strconv.Itoa(os.Getpid())+`,"command":"boot"`) {
		t.Errorf("the file says %s", text)
	}
}

func TestLockOfUnknownOwner(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "half written": `{"pid":12`, "zeros": "\x00\x00", "no process": `{"command":"boot"}`,
		"negative": `{"pid":-1,"command":"boot"}`, "too long": `{"pid":12,"command":"` + strings.Repeat("x", maxOwner) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			dir := reporttest.OpenDir(t)
			mustLock(t, dir, "sync")
			if err := dir.WriteFile(lockFile, []byte(text), lockMode); err != nil {
				t.Fatal(err)
			}
			if _, err := Lock(t.Context(), dir, "boot", false); !errors.Is(err, ErrLocked) || err.Error() != "the lock is held by another process" {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestHostileOwnerIsCleaned(t *testing.T) {
	dir := reporttest.OpenDir(t)
	mustLock(t, dir, "sync")
	text := `{"pid":7,"command":"sy\u001b[2Jnc\nkoboshi: ok` + strings.Repeat("x", 100) + `","since":"2026-11-21T10:02:11Z"}`
	if err := dir.WriteFile(lockFile, []byte(text), lockMode); err != nil {
		t.Fatal(err)
	}
	_, err := Lock(t.Context(), dir, "boot", false)
	if want := "the lock is held by PID 7 (koboshi sync koboshi: okxxxxxxxxxxxxx…, since 10:02:11)"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

// The text that a killed process left does not keep another from the lock.
func TestLockOfAKilledOwner(t *testing.T) {
	dir := reporttest.OpenDir(t)
	if err := dir.WriteFile(lockFile, []byte(`{"pid":7,"command":"a much longer text than the one that is written over it, is it not"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	mustLock(t, dir, "sync")
	if _, err := Lock(t.Context(), dir, "boot", false); err == nil || !strings.Contains(err.Error(), "(koboshi sync, ") {
		t.Errorf("error %v", err)
	}
	if info, _ := dir.Stat(lockFile); info.Mode() != lockMode {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
}

func TestLockModeWhateverTheUmask(t *testing.T) {
	for _, umask := range []int{0, 0o377} {
		dir := reporttest.OpenDir(t)
		old := syscall.Umask(umask)
		unlock, err := Lock(t.Context(), dir, "sync", false)
		syscall.Umask(old)
		if err != nil {
			t.Fatal(err)
		}
		unlock()
		if info, _ := dir.Stat(lockFile); info.Mode() != lockMode {
			t.Errorf("umask %04o: mode %v, want 0600", umask, info.Mode())
		}
	}
}

// A child that outlives the lock does not have it.
func TestLockIsNotInherited(t *testing.T) {
	dir := reporttest.OpenDir(t)
	unlock := mustLock(t, dir, "sync")
	child := exec.CommandContext(t.Context(), "cat")
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	unlock()
	mustLock(t, dir, "boot")
	if err := errors.Join(stdin.Close(), child.Wait()); err != nil {
		t.Fatal(err)
	}
}

func TestLockWaits(t *testing.T) {
	dir := reporttest.OpenDir(t)
	synctest.Test(t, func(t *testing.T) {
		unlock, err := Lock(t.Context(), dir, "sync", false)
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Minute, unlock)
		began := time.Now()
		second, err := Lock(t.Context(), dir, "boot", true)
		if err != nil {
			t.Fatal(err)
		}
		defer second()
		if waited := time.Since(began); waited < time.Minute || waited > time.Minute+lockPoll {
			t.Errorf("waited %s", waited)
		}
		reason := errors.New("the deadline has passed")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, reason)
		defer cancel()
		if _, err := Lock(ctx, dir, "sync", true); !errors.Is(err, ErrLocked) || !errors.Is(err, reason) {
			t.Errorf("error %v, want both that it is held and why the wait ended", err)
		}
	})
}

func TestLockThatFailsIsTheDisk(t *testing.T) {
	t.Run("directory gone", func(t *testing.T) {
		dir := reporttest.OpenDir(t)
		if err := dir.Close(); err != nil {
			t.Fatal(err)
		}
		_, err := Lock(t.Context(), dir, "sync", true)
		if !errors.Is(err, ErrDisk) || errors.Is(err, ErrLocked) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("no regular file", func(t *testing.T) {
		path := t.TempDir()
		if err := syscall.Mkfifo(path+"/"+lockFile, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Lock(t.Context(), reporttest.OpenDirAt(t, path), "sync", true); !errors.Is(err, ErrDisk) {
			t.Errorf("a FIFO: %v", err)
		}
	})
	t.Run("flock", func(t *testing.T) {
		dir := reporttest.OpenDir(t)
		f, err := dir.Create("closed")
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if err := acquire(t.Context(), dir, f, true); !errors.Is(err, ErrDisk) || errors.Is(err, ErrLocked) {
			t.Errorf("error %v", err)
		}
	})
}
