package doctor

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"koboshi/agent/mounts"
	"koboshi/artifacts"
	"koboshi/artifacts/format"
)

// Before there is a store nothing is mounted to try it, and nothing is made.
func TestMountsWithoutAStore(t *testing.T) {
	root := filepath.Join(t.TempDir(), "web")
	here := mountsHere{mounts.New(nil), storeHere{root, artifacts.Trust{}}}
	for _, kind := range format.Images() {
		if tried, _ := here.Try(t.Context(), kind); tried {
			t.Errorf("%s was tried", kind.Info().Name)
		}
	}
	if _, err := os.Stat(root); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
