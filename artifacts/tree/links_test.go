package tree

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The check is compared with the kernel: in random trees, no allowed link leads
// outside, and where links are refused, the kernel cannot follow at least one of
// them inside.
func TestLinksAsTheKernelSeesThem(t *testing.T) {
	noise := rand.New(rand.NewPCG(3, 4))
	top := t.TempDir()
	var allowed, rejected int
	for i := range 600 {
		list := randomLinks(noise)
		dir := filepath.Join(top, fmt.Sprint(i))
		astray, dangling := followAll(t, dir, list)
		err := list.checkLinks(t.Context())
		switch {
		case err == nil && len(astray) > 0:
			t.Errorf("allowed, but leads astray: %v", astray)
		case err != nil && len(astray) == 0 && !dangling:
			t.Errorf("%v, but no link leads astray", err)
		case err == nil:
			allowed++
		default:
			rejected++
		}
		must(t, os.RemoveAll(dir))
	}
	if allowed < 50 || rejected < 50 {
		t.Errorf("%d trees allowed and %d refused prove little", allowed, rejected)
	}
}

func randomLinks(noise *rand.Rand) *listing {
	pick := func(from ...string) string { return from[noise.IntN(len(from))] }
	t := newListing(roomy)
	for range 2 + noise.IntN(4) {
		e := &Entry{Path: pick("a", "b", "c", "d/a", "d/b", "d/e/a", "d/e/b"), Type: TypeSymlink}
		parts := make([]string, 1+noise.IntN(4))
		for i := range parts {
			parts[i] = pick("..", "..", ".", "a", "b", "c", "d", "e")
		}
		e.Link = strings.Join(parts, "/")
		_, _ = t.add(e) // or not: it may be there
	}
	return t
}

// followAll makes the tree and asks the kernel to follow each of its links.
func followAll(t *testing.T, dir string, list *listing) (astray []string, dangling bool) {
	t.Helper()
	must(t, os.Mkdir(dir, 0o755))
	for _, n := range list.order {
		if n.Type == TypeDir {
			must(t, os.Mkdir(filepath.Join(dir, n.path()), 0o755))
		} else {
			must(t, os.Symlink(n.Link, filepath.Join(dir, n.path())))
		}
	}
	root, err := os.Open(dir)
	must(t, err)
	defer func() { must(t, root.Close()) }()
	for _, n := range list.order {
		fd, err := openBeneath(root, n.path())
		switch {
		case err == nil:
			must(t, unix.Close(fd))
		case errors.Is(err, unix.ENOENT):
			dangling = true
		case errors.Is(err, unix.EXDEV), errors.Is(err, unix.ELOOP):
			astray = append(astray, fmt.Sprintf("%s -> %s: %v", n.path(), n.Link, err))
		default:
			t.Fatal(err)
		}
	}
	return astray, dangling
}

// openBeneath asks again where something was renamed elsewhere while the kernel
// followed "..": that is EAGAIN.
func openBeneath(root *os.File, path string) (int, error) {
	for {
		fd, err := unix.Openat2(int(root.Fd()), path, &unix.OpenHow{Flags: unix.O_PATH, Resolve: unix.RESOLVE_BENEATH})
		if !errors.Is(err, unix.EAGAIN) {
			return fd, err
		}
	}
}

// A chain of links is refused where the kernel would: however long it is,
// following it needs no deeper stack.
func TestChainIsGivenUp(t *testing.T) {
	list := newListing(roomy)
	for i := range 2 * MaxHops {
		_, err := list.add(&Entry{Path: fmt.Sprint("l", i), Type: TypeSymlink, Link: fmt.Sprint("l", i+1)})
		must(t, err)
	}
	if err := list.checkLinks(t.Context()); !errors.Is(err, ErrRefused) {
		t.Error(err)
	}
	if n := list.find(fmt.Sprint("l", MaxHops)); n.hops != 0 {
		t.Errorf("followed to %s", n.path())
	}
}

// No manifest can promise more entries than the package allows.
func TestMaxEntries(t *testing.T) {
	if left := newListing(Limits{Entries: math.MaxInt64}).limits.Entries; left != MaxEntries {
		t.Errorf("%d entries", left)
	}
}
