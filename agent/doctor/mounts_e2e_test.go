//go:build e2e

package doctor

import (
	"os"
	"path/filepath"
	"testing"

	"koboshi/agent/mounts"
	"koboshi/artifacts"
	"koboshi/artifacts/format"
	"koboshi/artifacts/store"
)

// This kernel mounts a sample of each format, and nothing of them is left.
func TestE2EMountsTried(t *testing.T) {
	root := filepath.Join(t.TempDir(), "web")
	s, err := store.Open(root, artifacts.Trust{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	here := mountsHere{mounts.New(nil), storeHere{root, artifacts.Trust{}}}
	for _, kind := range format.Images() {
		if tried, err := here.Try(t.Context(), kind); !tried || err != nil {
			t.Errorf("%s: tried %v, %v", kind.Info().Name, tried, err)
		}
	}
	if left, err := os.ReadDir(filepath.Join(root, ".staging")); err != nil || len(left) != 0 {
		t.Errorf("%v, %v", left, err)
	}
}
