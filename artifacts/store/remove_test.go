package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestRemovalEndsWithItsContext: a tree of many entries is removed no further, and
// what is left is swept by the next run.
func TestRemovalEndsWithItsContext(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, trust)
	if err != nil {
		t.Fatal(err)
	}
	staged := filepath.Join(dir, stagingDir, "big", "tree", "sub")
	if err := os.MkdirAll(staged, 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if err := os.Symlink("x", filepath.Join(staged, fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.removeAll(ended, stagingDir+"/big"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if left, err := os.ReadDir(staged); err != nil || len(left) != 100 {
		t.Errorf("%d of 100 entries are left, %v", len(left), err)
	}
	if _, err := s.Prune(t.Context(), 1); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(filepath.Join(dir, stagingDir)); err != nil || len(left) != 0 {
		t.Errorf("%v is left in .staging, %v", left, err)
	}
}
