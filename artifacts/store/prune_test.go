package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestPrune(t *testing.T) {
	s := open(t)
	var all []Release
	for _, version := range []string{"1", "2", "3", "4", "5", "6"} {
		all = append(all, stage(t, s, version))
	}
	for _, i := range []int{1, 3, 4} { // 2, 4 and 5
		healthyNow(t, s, all[i], "i-1", noon.Add(time.Duration(i)*time.Hour))
	}
	activate(t, s, all[4])
	activate(t, s, all[5])
	litter(t, s)
	for _, tc := range []struct {
		keep          int
		removed, left []string
	}{
		{10, []string{"1", "3", "half"}, []string{"2", "4", "5", "6"}},
		{10, nil, []string{"2", "4", "5", "6"}},
		{3, []string{"2"}, []string{"4", "5", "6"}},
		{2, []string{"4"}, []string{"5", "6"}},
		{0, nil, []string{"5", "6"}},
	} {
		removed, err := s.Prune(t.Context(), tc.keep)
		for i, id := range removed {
			removed[i], _, _ = strings.Cut(id, "-")
		}
		if left := ids(must(s.Releases())); err != nil || !slices.Equal(removed, tc.removed) || !slices.Equal(left, tc.left) {
			t.Errorf("keep %d: removed %v and left %v, %v; want %v and %v", tc.keep, removed, left, err, tc.removed, tc.left)
		}
	}
	for name := range picture(t, s.Dir()) {
		if dir, base := filepath.Split(name); dir == ".staging/" || strings.HasPrefix(base, ".tmp-") {
			t.Errorf("left: %s", name)
		}
	}
}

// litter is what crashes leave.
func litter(t *testing.T, s *Store) {
	t.Helper()
	current, _, _ := s.Current()
	err := errors.Join(
		os.MkdirAll(filepath.Join(s.Dir(), ".staging", "1.x", "deep", "tree"), 0o755),
		os.MkdirAll(filepath.Join(s.Dir(), "releases", "half", "meta"), 0o755),
		os.Symlink("releases/x", filepath.Join(s.Dir(), ".tmp-link")),
		os.WriteFile(meta(current, ".tmp-x"), nil, 0o644),
	)
	if err != nil {
		t.Fatal(err)
	}
}

// The target of a link is never removed, even if it is broken.
func TestPruneKeepsWhatLinksName(t *testing.T) {
	s := open(t)
	r := stage(t, s, "1")
	activate(t, s, r)
	if err := os.Remove(meta(r, "complete")); err != nil {
		t.Fatal(err)
	}
	if removed, err := s.Prune(t.Context(), 1); len(removed) != 0 || err != nil {
		t.Errorf("removed %v, %v", removed, err)
	}
	if _, err := os.Stat(filepath.Join(r.Dir(), "bin/web")); err != nil {
		t.Error(err)
	}
}

// On overlayfs a directory of a lower layer cannot be renamed: it is removed where
// it is. Where one cannot be removed at all the others still are.
func TestPruneInPlace(t *testing.T) {
	s := open(t)
	for _, version := range []string{"1", "2", "3"} {
		stage(t, s, version)
	}
	retired := 0
	s.before = func(step string) error {
		if step != "retire" {
			return nil
		}
		retired++
		return []error{unix.EXDEV, unix.EPERM, nil}[retired-1]
	}
	removed, err := s.Prune(t.Context(), 0)
	if len(removed) != 2 || !errors.Is(err, unix.EPERM) || errors.Is(err, unix.EXDEV) {
		t.Errorf("removed %v, %v", removed, err)
	}
	if left := ids(must(s.Releases())); !slices.Equal(left, []string{"2"}) {
		t.Errorf("left %v", left)
	}
}

func TestPruneCancelled(t *testing.T) {
	s := open(t)
	stage(t, s, "1")
	cause := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if removed, err := s.Prune(ctx, 0); len(removed) != 0 || !errors.Is(err, cause) {
		t.Errorf("removed %v, %v", removed, err)
	}
	if got := ids(must(s.Releases())); len(got) != 1 {
		t.Errorf("left %v", got)
	}
}

// Pruning at the same time as staging and activation never removes what is in use.
func TestConcurrency(t *testing.T) {
	s := open(t)
	base := stage(t, s, "0")
	healthyNow(t, s, base, "i-1", noon)
	activate(t, s, base)
	var work sync.WaitGroup
	for _, version := range []string{"1", "2", "3", "4"} {
		in := files{"bin/web": version}.release(version, "tar.zst", true)
		work.Go(func() {
			r, err := s.Stage(t.Context(), in)
			if err != nil {
				t.Error(err)
				return
			}
			if err := s.Activate(r); err != nil && !errors.Is(err, errIncomplete) { // pruned before it was current
				t.Error(err)
			}
		})
		work.Go(func() {
			if _, err := s.Prune(t.Context(), 1); err != nil {
				t.Error(err)
			}
		})
		work.Go(func() {
			if r, ok, err := s.Current(); !ok || err != nil {
				t.Errorf("no current release: %v %v %v", r.ID(), ok, err)
			}
		})
	}
	work.Wait()
	r, ok, err := s.Current()
	if !ok || err != nil {
		t.Fatalf("no current release: %v", err)
	}
	if diff, err := s.Verify(t.Context(), r); err != nil || !diff.Clean() {
		t.Errorf("%+v, %v", diff, err)
	}
}

// A FIFO in place of a release's directory is no release, and does not block.
func TestAFIFOIsNotWaitedFor(t *testing.T) {
	for _, name := range []string{"", metaDir, metaDir + "/" + pointersDir, metaDir + "/" + completeFile, treeDir} {
		s := open(t)
		r := stage(t, s, "1")
		at := filepath.Join(s.Dir(), releasesDir, r.ID(), name)
		if err := errors.Join(os.RemoveAll(at), unix.Mkfifo(at, 0o600)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Candidates("i-1"); err != nil {
			t.Errorf("%q: %v", name, err)
		}
		if _, err := s.Prune(t.Context(), 3); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}
