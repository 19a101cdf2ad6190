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
	disk   disk
	images []image // other releases of the same tree
	serves bool    // the tree is an app that can be asked
	lean   bool    // fewer contenders: time is short

	app, key, sha256 string // of the published artifact
	data             []byte // its bytes
	files, plain     int64  // what is to be unpacked
}

// image is an app with an image of a kind.
type image struct{ kind, app string }

func (w *workload) title() string {
	return fmt.Sprintf("%s, %s (%s), %s%s", w.input, w.format, w.sizes(), w.origin, w.slow())
}

// slow is for the titles of what lands on a slow disk.
func (w *workload) slow() string {
	if w.disk != gp3 {
		return ""
	}
	return ", " + string(gp3)
}

func (w *workload) sizes() string {
	if w.format == "file" {
		return fmt.Sprintf("%d MB", w.plain/1e6)
	}
	return fmt.Sprintf("%d -> %d MB, %d files", len(w.data)/1e6, w.plain/1e6, w.files)
}

// workloads builds and publishes the inputs of a scale.
func (l *lab) workloads(s scale) (all []*workload) {
	l.Helper()
	goroot := l.goroot()
	tree := l.publish("gotree", goroot, "Go toolchain", "tar.zst", s.kinds...)
	all = l.disks(s, tree)
	if s.modules && s.wants("node_modules") {
		if dir := l.modules(); dir != "" {
			modules := l.publish("npm", dir, "node_modules", "tar.zst", s.kinds...)
			modules.serves = true
			all = append(all, l.disks(s, modules)...)
		}
	}
	bare := *tree
	bare.images, bare.lean = nil, s.lean
	if s.others || !s.whole {
		all = append(all, bare.at(faulty))
	}
	if !s.others && !s.wants("one file") {
		return all
	}
	if !s.others {
		large := l.file(s.file)
		large.lean = s.lean
		return append(all, large)
	}
	zipped := l.publish("gozip", l.tarball(goroot), "Go toolchain", "tar.gz")
	zipped.files, zipped.plain = tree.files, tree.plain
	return append(all, bare.at(secure), zipped.at(shaped), l.file(16), l.file(128), l.file(1024))
}

// disks is a tree with its images on every disk that there is here.
func (l *lab) disks(s scale, w *workload) []*workload {
	w.lean = s.lean
	all := []*workload{w.at(shaped)}
	if l.slow {
		slow := w.at(shaped)
		slow.disk, slow.lean = gp3, true
		all = append(all, slow)
	}
	return all
}

// file is one of so many MiB.
func (l *lab) file(mebibytes int) *workload {
	l.Helper()
	return l.publish(fmt.Sprintf("file%d", mebibytes), l.noise(mebibytes), "one file", "file").at(shaped)
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
	if w.disk == "" {
		w.disk = quick
	}
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

// modules is an app with what npm has installed; "" where there is no npm.
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
	must(l, os.WriteFile(filepath.Join(name, "server.js"), []byte(server), 0o644))
	return name
}

// server is an app that loads large packages before it answers, with its pid. Without
// a port it ends then.
const server = `const http = require('node:http');
const names = ['antd', '@mui/material', '@emotion/react', '@emotion/styled', 'aws-sdk', 'typescript',
  'webpack', 'eslint', 'rxjs', 'date-fns', 'react-dom/server', 'next/dist/server/next'];
names.forEach((name) => require(name));
const [port] = process.argv.slice(2);
if (port) http.createServer((_, answer) => answer.end(String(process.pid))).listen(Number(port), '127.0.0.1');
`

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
