//go:build bench

package bench

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// packages are what a front end of some age depends on: about 50,000 files.
const packages = `{"name": "bench", "version": "1.0.0", "private": true, "dependencies": {
	"@emotion/react": "11.13.3", "@emotion/styled": "11.13.0", "@mui/material": "5.16.7",
	"antd": "5.21.4", "aws-sdk": "2.1691.0", "date-fns": "2.30.0", "eslint": "8.57.1",
	"next": "14.2.15", "react": "18.3.1", "react-dom": "18.3.1", "rxjs": "7.8.1",
	"typescript": "5.6.3", "webpack": "5.95.0"
}}`

// shape is how the origin behaves.
type shape string

const (
	fast   shape = "loopback"                    // as fast as it can
	shaped shape = "s3 shape"                    // 90 MB/s a connection, 20-40 ms to the first byte
	secure shape = "s3 shape, TLS"               // 90 MB/s, encrypted by the same cores
	faulty shape = "s3 shape, 5 % 503 + 5 % RST" // and requests that fail
)

// workload is one artifact at one kind of origin.
type workload struct {
	input  string
	format string // "tar.zst", "tar.gz", "file"
	origin shape

	app, key, sha256 string // of the published artifact
	data             []byte // its bytes
	files, plain     int64  // what is to be unpacked
}

func (w *workload) title() string {
	return fmt.Sprintf("%s, %s (%s), %s", w.input, w.format, w.sizes(), w.origin)
}

func (w *workload) sizes() string {
	if w.format == "file" {
		return fmt.Sprintf("%d MB", w.plain/1e6)
	}
	return fmt.Sprintf("%d -> %d MB, %d files", len(w.data)/1e6, w.plain/1e6, w.files)
}

// workloads builds and publishes the inputs, and for the short form only a few.
func (l *lab) workloads(s scale) []*workload {
	l.Helper()
	goroot := l.goroot()
	tree := l.publish("gotree", goroot, "Go toolchain", "tar.zst")
	all := []*workload{tree.at(shaped), tree.at(secure), tree.at(faulty)}
	if !s.whole {
		return append(all, l.file(128))
	}
	zipped := l.publish("gozip", l.tarball(goroot), "Go toolchain", "tar.gz")
	zipped.files, zipped.plain = tree.files, tree.plain
	all = append(all, zipped.at(shaped))
	if modules := l.modules(); modules != "" {
		all = append(all, l.publish("npm", modules, "node_modules", "tar.zst").at(shaped))
	}
	return append(all, l.file(16), l.file(128), l.file(1024))
}

// file is one of so many MiB.
func (l *lab) file(mebibytes int) *workload {
	l.Helper()
	return l.publish(fmt.Sprintf("file%d", mebibytes), l.noise(mebibytes), "random", "file").at(shaped)
}

// goroot is the tree of the Go toolchain that builds this.
func (l *lab) goroot() string {
	l.Helper()
	out, err := exec.CommandContext(l.Context(), "go", "env", "GOROOT").Output()
	must(l.TB, err)
	return strings.TrimSpace(string(out))
}

func (w workload) at(origin shape) *workload {
	w.origin = origin
	return &w
}

// tarball is what GNU tar makes of a directory, kept from run to run.
func (l *lab) tarball(dir string) string {
	l.Helper()
	name := filepath.Join(l.out, "inputs", strings.ReplaceAll(runtime.Version(), " ", "_")+".tar.gz")
	l.keep(name, func(temp string) error {
		return command("tar", "-C", dir, "-czf", temp, ".").Run()
	})
	return name
}

// noise is a file of so many MiB that do not compress, the same in every run.
func (l *lab) noise(mebibytes int) string {
	l.Helper()
	name := filepath.Join(l.out, "inputs", fmt.Sprintf("random-%d", mebibytes))
	l.keep(name, func(temp string) error {
		data := make([]byte, mebibytes<<20)
		_, _ = rand.NewChaCha8([32]byte{1}).Read(data) // never fails
		return os.WriteFile(temp, data, 0o755)
	})
	return name
}

// modules is a tree that npm has installed; "" where there is no npm.
func (l *lab) modules() string {
	l.Helper()
	if _, err := exec.LookPath("npm"); err != nil {
		fmt.Println("node_modules: npm is not installed")
		return ""
	}
	name := filepath.Join(l.out, "inputs", "npm")
	l.keep(name, func(temp string) error {
		must(l, os.MkdirAll(temp, 0o755))
		must(l, os.WriteFile(filepath.Join(temp, "package.json"), []byte(packages), 0o644))
		npm := command("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
		npm.Dir = temp
		return npm.Run()
	})
	return filepath.Join(name, "node_modules")
}

// keep makes an input unless an earlier run has made it.
func (l *lab) keep(name string, make func(temp string) error) {
	l.Helper()
	if _, err := os.Stat(name); err == nil {
		return
	}
	fmt.Println("making", filepath.Base(name))
	must(l, os.MkdirAll(filepath.Dir(name), 0o755))
	must(l, os.RemoveAll(name+".part"))
	must(l, make(name+".part"))
	must(l, os.Rename(name+".part", name))
}

// count is the regular files of a tree and their bytes.
func count(top string) (files, bytes int64, err error) {
	err = filepath.WalkDir(top, func(_ string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case !d.Type().IsRegular():
			return nil
		}
		info, err := d.Info()
		if err == nil {
			files, bytes = files+1, bytes+info.Size()
		}
		return err
	})
	return files, bytes, err
}

// same reports whether a tree has as many files and bytes as the input.
func (w *workload) same(tree string) error {
	tree, err := filepath.EvalSymlinks(tree)
	if err != nil {
		return err
	}
	files, bytes, err := count(tree)
	if err == nil && (files != w.files || bytes != w.plain) {
		err = fmt.Errorf("%s: %d files of %d bytes, want %d of %d", tree, files, bytes, w.files, w.plain)
	}
	return err
}
