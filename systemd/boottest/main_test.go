//go:build boottest

package boottest

import (
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

var packages = flag.String("packages", "", "`DIR` that make package made")

var rootFS = flag.String("rootfs", "", "`DIR` that rootfs.sh made")

// shop is built once for all scenarios: programs, keys and releases.
type shop struct {
	dir string
}

var built shop

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := runAll(m)
	if err != nil {
		log.Fatalf("boottest: %v", err)
	}
	os.Exit(code)
}

func runAll(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "boottest-")
	if err != nil {
		return 1, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	built = shop{dir}
	if err := built.build(); err != nil {
		return 1, err
	}
	if err := built.publish(); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

func (s shop) path(name string) string { return filepath.Join(s.dir, name) }

// build makes the programs as they are shipped: static.
func (s shop) build() error {
	for name, source := range map[string]string{
		"koboshi": "koboshi/cmd/koboshi", "web": "./testdata/app", "observer": "./testdata/observer", "load": "./testdata/load", "stopper": "./testdata/stopper", "mounter": "./testdata/mounter",
	} {
		build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", s.path(name), source)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", name, err, out)
		}
	}
	return nil
}

// flaws are the releases with a flaw: the files in their trees besides the app.
var flaws = map[string]string{"2.0.0-ill": "ill", "2.0.0-mute": "mute", "2.0.0-dead": "dead", "2.0.0-frail": "frail", "2.0.0-lame": "lame"}

// publish makes a pair of keys and some releases, as an operator would.
func (s shop) publish() error {
	if err := s.koboshi(nil, "keygen", "--out", s.path("release")); err != nil {
		return err
	}
	if err := os.MkdirAll(s.path("releases/apps"), 0o755); err != nil {
		return err
	}
	for _, version := range append(slices.Collect(maps.Keys(flaws)), "1.0.0", "2.0.0") {
		tree := s.path("tree-" + version)
		if err := s.tree(tree, version); err != nil {
			return err
		}
		if err := s.koboshi(nil, "publish", "--source", "file://"+s.path("releases")+"/apps", "--app", "web",
			"--version", version, "--key", s.path("release.key"), tree); err != nil {
			return err
		}
	}
	return nil
}

func (s shop) tree(dir, version string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if err := copyFile(filepath.Join(dir, "web"), s.path("web"), 0o755); err != nil {
		return err
	}
	if flaw := flaws[version]; flaw != "" {
		if err := os.WriteFile(filepath.Join(dir, flaw), nil, 0o644); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "VERSION"), []byte(version+"\n"), 0o644); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(dir, "etc"), 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, ownUnit), []byte(unitOf(version)), 0o644)
}

// ownUnit is where a release brings its unit, for the scenarios that use it.
const ownUnit = "etc/web.service"

func unitOf(version string) string {
	return strings.Replace(webService, "The app", "The app "+version, 1)
}

// koboshi runs the release side's commands.
func (s shop) koboshi(env []string, args ...string) error {
	cmd := exec.Command(s.path("koboshi"), args...)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("koboshi %s: %w\n%s", args[0], err, out)
	}
	return nil
}

// objects yields what was published, by key.
func (s shop) objects(put func(key string, data []byte)) error {
	root := os.DirFS(s.path("releases"))
	return fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(root, name)
		put(name, data)
		return err
	})
}

// copyFile copies a file, also a program that is run right away. No other test starts a
// process meanwhile: that would have it open for a moment, and it could not be run.
func copyFile(to, from string, mode fs.FileMode) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if closed := out.Close(); err == nil {
		err = closed
	}
	return err
}
