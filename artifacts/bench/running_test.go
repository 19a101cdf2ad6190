//go:build bench

package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// running is what an app costs that runs from a tree or an image: CPU time, also the
// kernel's own, and time, with nothing in memory and with all of it.
func (l *lab) running(w *workload, rounds int) string {
	l.Helper()
	if rounds == 0 {
		return ""
	}
	fmt.Println("running", w.input)
	l.shape(fast)
	ways := []contender{l.koboshi(w, "tree", l.binary)}
	for _, i := range w.images {
		ways = append(ways, l.installing(i.app, i.kind, "auto", l.binary))
	}
	r := result{samples: map[string][]sample{}}
	for range rounds {
		for _, way := range ways {
			l.runFrom(w, way, &r)
		}
	}
	var b strings.Builder
	for _, way := range ways {
		cold, _ := r.median(way.name + " cold")
		warm, _ := r.median(way.name + " warm")
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", w.doing(), way.name, seconds(cold.wall), seconds(cold.cpu), seconds(warm.wall), seconds(warm.cpu))
	}
	return "\n| running | from | cold | CPU, cold | warm | CPU, warm |\n|---|---|---:|---:|---:|---:|\n" + b.String()
}

// doing is what is run.
func (w *workload) doing() string {
	if w.serves {
		return "node, 12 large packages"
	}
	return "go build fmt, empty cache"
}

func (l *lab) runFrom(w *workload, way contender, r *result) {
	l.Helper()
	disk := l.mount(ext4, w.room(), quick)
	defer l.unmount(disk)
	must(l, way.run(disk).err)
	unix.Sync()
	must(l, os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0o200))
	for _, state := range []string{" cold", " warm"} {
		s := l.work(w, filepath.Join(disk, way.tree))
		must(l, s.err)
		r.samples[way.name+state] = append(r.samples[way.name+state], s)
	}
}

// work runs what the tree is for.
func (l *lab) work(w *workload, tree string) sample {
	l.Helper()
	cmd := command("node", filepath.Join(tree, "server.js"))
	if !w.serves {
		cache := l.TempDir()
		cmd = command(filepath.Join(tree, "bin/go"), "build", "-o", os.DevNull, "fmt")
		cmd.Env = append(cmd.Env, "GOCACHE="+cache, "GOTOOLCHAIN=local", "GOROOT="+tree, "GOFLAGS=")
	}
	before := kernelTime()
	s := run(cmd)
	s.cpu += max(kernelTime()-before, 0) // threads that have ended meanwhile are not counted any more
	return s
}

// kernelTime is the CPU time of all threads of the kernel, which decode images ahead
// of who reads them.
func kernelTime() (total time.Duration) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // only a wrong pattern is an error
	for _, name := range stats {
		data, err := os.ReadFile(name)
		_, rest, found := strings.Cut(string(data), ") ")
		fields := strings.Fields(rest)
		if err != nil || !found || len(fields) < 13 || fields[1] != "2" { // the parent of all of them
			continue
		}
		for _, ticks := range fields[11:13] {
			n, _ := strconv.ParseInt(ticks, 10, 64) // of the kernel
			total += time.Duration(n) * 10 * time.Millisecond
		}
	}
	return total
}
