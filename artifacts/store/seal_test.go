package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"koboshi/artifacts"
)

// sealer seals nothing, and says that it did.
type sealer struct {
	t      *testing.T
	fails  error
	digest string
	gone   error  // a file is not sealed any more
	alters string // the image, before it is sealed
	count  int
}

func (k *sealer) Seal(f *os.File) error {
	if k.alters != "" {
		if err := os.WriteFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), []byte(k.alters), 0o644); err != nil {
			k.t.Error(err)
		}
	}
	k.count++
	return k.fails
}

func (k *sealer) Sealed(*os.File) (string, error) { return k.digest, k.gone }

func sealing(t *testing.T) (*Store, *sealer) {
	t.Helper()
	s := open(t)
	newKernel(t, s)
	k := &sealer{t: t, digest: "ab"}
	s.Seals = k
	return s, k
}

// An image is sealed once it is installed, and needs no reading while it is the same.
func TestSeal(t *testing.T) {
	s, k := sealing(t)
	r := must(s.Stage(t.Context(), imageOf(t, "1")))
	wantSealed := func(want bool, reason bool) {
		t.Helper()
		if sealed, why := s.Sealed(r); sealed != want || (why != nil) != reason {
			t.Errorf("sealed %v, %v", sealed, why)
		}
	}
	wantSealed(true, false)
	if r, _, _ = s.Find(r.Manifest()); k.count != 1 {
		t.Errorf("sealed %d times", k.count)
	}
	wantSealed(true, false)
	k.digest = "cd"
	wantSealed(false, true)
	k.gone = unix.ENODATA
	wantSealed(false, true)
	k.digest, k.gone, s.Seals = "ab", nil, nil
	wantSealed(false, true)
	s.Seals = k
	if err := os.Remove(meta(r, "image")); err != nil {
		t.Fatal(err)
	}
	if sealed, why := s.Sealed(r); sealed || !errors.Is(why, fs.ErrNotExist) {
		t.Errorf("sealed %v, %v", sealed, why)
	}
	r = stage(t, s, "2") // a tree
	wantSealed(false, false)
	if k.count != 1 {
		t.Errorf("a tree was sealed")
	}
}

// Where there is no seal the image is installed without one; an image that is another
// one when it is sealed is not.
func TestSealFails(t *testing.T) {
	s, k := sealing(t)
	k.fails = unix.EOPNOTSUPP
	r := must(s.Stage(t.Context(), imageOf(t, "1")))
	if sealed, why := s.Sealed(r); sealed || !errors.Is(why, errUnsealed) {
		t.Errorf("sealed %v, %v", sealed, why)
	}
	k.fails, k.gone = nil, unix.ENODATA
	must(s.Stage(t.Context(), imageOf(t, "2")))
	k.gone, k.alters = nil, "altered"
	if _, err := s.Stage(t.Context(), imageOf(t, "3")); !errors.Is(err, artifacts.ErrIntegrity) {
		t.Errorf("%v", err)
	}
	k.alters = ""
	s.before = func(step string) error {
		if step == "seal" {
			return unix.EIO
		}
		return nil
	}
	if _, err := s.Stage(t.Context(), imageOf(t, "4")); !errors.Is(err, ErrDisk) {
		t.Errorf("%v", err)
	}
	s.before = nil
	if names := must(s.names(stagingDir)); len(names) != 0 {
		t.Errorf("left: %q", names)
	}
}

// Whether files can be sealed is tried with one that is removed.
func TestTrySeal(t *testing.T) {
	s, k := sealing(t)
	if err := s.TrySeal(t.Context()); err != nil || k.count != 1 {
		t.Errorf("%v, %d", err, k.count)
	}
	k.fails = unix.ENOTTY
	if err := s.TrySeal(t.Context()); !errors.Is(err, unix.ENOTTY) {
		t.Errorf("%v", err)
	}
	if names := must(s.names(stagingDir)); len(names) != 0 {
		t.Errorf("left: %q", names)
	}
}
