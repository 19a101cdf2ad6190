//go:build bench

package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// The two releases of a delta update: what a patch release of Go changes, from the
// module proxy.
const (
	olderGo = "golang.org/toolchain@v0.0.1-go1.26.7.linux-amd64"
	newerGo = "golang.org/toolchain@v0.0.1-go1.26.8.linux-amd64"
)

// filesystems are those that a delta update lands on, and how they are made.
var filesystems = []struct {
	title string
	mkfs  []string
}{
	{"ext4, copied", ext4},
	{"XFS, reflinks", []string{"mkfs.xfs", "-q", "-f", "-m", "reflink=1"}},
}

// deltas is the table of a delta update against the whole artifact, on machines that
// have the older release: from memory, and with nothing of it there. It is left
// out of the short form, unless ONLY names it.
func (l *lab) deltas(s scale) string {
	l.Helper()
	if !s.only.MatchString("delta") || !s.others && s.only.String() == "" {
		return ""
	}
	older, newer := l.module(olderGo), l.module(newerGo)
	size, artifact := l.publishBoth(older, newer)
	l.shape(shaped)
	var b strings.Builder
	fmt.Fprintf(&b, "\nDelta update, Go 1.26.7 -> 1.26.8, %s: %.2f of %.1f MB, %.1f %%.\n\n", shaped, float64(size)/1e6, float64(artifact)/1e6, 100*float64(size)/float64(artifact))
	b.WriteString("| filesystem | delta update | whole artifact | delta update, base not in memory | peak RSS |\n|---|---:|---:|---:|---:|\n")
	for _, fs := range filesystems {
		ways := map[string][]sample{}
		for range s.rounds {
			for _, i := range rand.Perm(3) {
				way := []string{"always", "never", "cold"}[i]
				ways[way] = append(ways[way], l.fromDelta(fs.mkfs, way))
			}
		}
		r := result{samples: ways}
		hot, _ := r.median("always")
		whole, _ := r.median("never")
		cold, _ := r.median("cold")
		fmt.Fprintf(&b, "| %s | %s | %s (%.2fx) | %s | %d MiB |\n", fs.title, seconds(hot.wall), seconds(whole.wall), whole.wall.Seconds()/hot.wall.Seconds(), seconds(cold.wall), hot.rss>>20)
		for way := range ways {
			if n := r.failed(way); n > 0 {
				l.Errorf("delta update, %s, %s: failed %d times", fs.title, way, n)
			}
		}
	}
	return b.String()
}

// module is the directory of a module of the proxy.
func (l *lab) module(name string) string {
	l.Helper()
	cmd := command("go", "mod", "download", "-json", name)
	cmd.Dir = l.dir
	out, err := cmd.Output()
	must(l, err)
	var module struct{ Dir string }
	must(l, json.Unmarshal(out, &module))
	return module.Dir
}

// publishBoth releases two trees, the second with a delta from the first, each
// in a channel of its own, and returns the bytes of delta and artifact.
func (l *lab) publishBoth(older, newer string) (delta, artifact int64) {
	l.Helper()
	l.shape(fast)
	fmt.Println("publishing delta")
	where := []string{"--source", "s3://bench/apps", "--app", "delta", "--key", filepath.Join(l.dir, "release.key")}
	l.tool(append([]string{"publish", older, "--version", "1"}, where...)...)
	l.tool(append([]string{"publish", newer, "--version", "2", "--base", "1"}, where...)...)
	l.tool(append([]string{"promote", "--channel", "one", "--version", "1"}, where...)...)
	l.tool(append([]string{"promote", "--channel", "two", "--version", "2"}, where...)...)
	for _, key := range l.aws.S3().Keys("bench") {
		data, _ := l.aws.S3().Object("bench", key)
		switch {
		case !strings.HasPrefix(key, "apps/delta/releases/2/"):
		case strings.HasSuffix(key, ".delta"):
			delta = int64(len(data))
		case strings.HasSuffix(key, ".tar.zst"):
			artifact = int64(len(data))
		}
	}
	return delta, artifact
}

// delta is one run on a fresh filesystem that has the older release.
func (l *lab) fromDelta(mkfs []string, way string) sample {
	l.Helper()
	disk := l.mount(mkfs, 2<<30, quick)
	defer l.unmount(disk)
	when := strings.ReplaceAll(way, "cold", "always")
	must(l, l.prebake(disk, "one", when).err)
	unix.Sync()
	if way == "cold" {
		must(l, os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0o200))
	}
	s := l.prebake(disk, "two", when)
	if s.err == nil {
		s.err = l.whole(disk, when)
	}
	return s
}

// prebake installs what a channel points to, without instance metadata.
func (l *lab) prebake(disk, channel, delta string) sample {
	config := filepath.Join(disk, "koboshi.toml")
	text := fmt.Sprintf("app = \"delta\"\nsource = \"s3://bench/apps\"\nchannel = \"one\"\nchannels = [\"one\", \"two\"]\n[trust]\nkeys = [%q]\n"+
		"[install]\nroot = %q\ndelta = %q\n[state]\ndir = %q\nrun = %q\n[service]\nrestart = [\"true\"]\n[health]\ncommand = [\"true\"]\n",
		filepath.Join(l.dir, "release.pub"), filepath.Join(disk, "root"), delta, filepath.Join(disk, "state"), filepath.Join(disk, "run"))
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return sample{err: err}
	}
	cmd := command(l.binary, "prebake", "--config", config, "--channel", channel)
	cmd.Env = append(cmd.Env, l.env()...)
	return run(cmd)
}

// whole checks that a run ended as it should and that its tree is complete.
func (l *lab) whole(disk, when string) error {
	report, err := os.ReadFile(filepath.Join(disk, "state/reports/prebake.json"))
	if err != nil {
		return err
	}
	if topped := bytes.Contains(report, []byte(`"delta"`)); topped != (when == "always") || bytes.Contains(report, []byte("no delta update")) {
		return fmt.Errorf("delta = %q: %s", when, report)
	}
	cmd := command(l.binary, "verify", "--config", filepath.Join(disk, "koboshi.toml"))
	cmd.Env = append(cmd.Env, l.env()...)
	if out, err := cmd.Output(); err != nil {
		return fmt.Errorf("verify: %w: %s", err, out)
	}
	return nil
}
