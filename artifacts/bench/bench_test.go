//go:build bench

package bench

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	"koboshi/artifacts/publish"
)

// out is where inputs are kept and results are written.
const out = "../../.build/bench"

// scale is how much is measured.
type scale struct {
	rounds  int
	soak    int            // more runs of koboshi where requests fail
	only    *regexp.Regexp // titles of workloads
	kinds   []string       // of images
	modules bool           // node_modules, and an app that answers
	others  bool           // gzip, TLS, faults, files of all sizes, delta updates
	whole   bool
	lean    bool // koboshi and aws only
	file    int  // MiB of the one file where there are no others
	running int  // rounds of what an installed release costs
}

// chooseScale is by BENCH: everything, what concerns images in 12 minutes, or whether
// all of it works, in one.
func chooseScale() (s scale) {
	switch os.Getenv("BENCH") {
	case "short":
		s = scale{rounds: 1, soak: 10, kinds: []string{builtIn, "squashfs"}, lean: true, file: 128}
	case "images":
		s = scale{rounds: 5, kinds: []string{builtIn, "erofs-zstd", "squashfs"}, modules: true, whole: true, lean: true, file: 1024, running: 1}
	default:
		s = scale{rounds: 5, soak: 100, kinds: publish.ImageKinds(), modules: true, others: true, whole: true, running: 3}
	}
	s.only = regexp.MustCompile(os.Getenv("ONLY"))
	if n, err := strconv.Atoi(os.Getenv("ROUNDS")); err == nil {
		s.rounds = n
	}
	return s
}

// wants reports whether an input may be measured: what is not need not be published.
func (s scale) wants(input string) bool {
	return s.only.MatchString(input+" "+string(quick)) || s.only.MatchString(input+" "+string(gp3)) || s.only.MatchString("running "+input)
}

// TestBench prints tables and writes them, and a plot, to .build/bench.
func TestBench(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("a fresh filesystem for every run needs root")
	}
	s := chooseScale()
	l := newLab(t)
	quiet := load()
	var results []*result
	var running string
	for _, w := range l.workloads(s) {
		if w.disk == quick && len(w.images) > 0 && s.only.MatchString("running "+w.input) {
			running += l.running(w, s.running)
		}
		if !s.only.MatchString(w.title()) {
			continue
		}
		fmt.Println("measuring", w.title())
		r := l.measure(w, s.rounds)
		for _, name := range r.names {
			if n := r.failed(name); n > 0 && strings.HasPrefix(name, koboshi) {
				t.Errorf("%s failed %d of %d times: %s", name, n, s.rounds, w.title())
			}
		}
		results = append(results, r)
	}
	soaked := l.soak(results, s.soak)
	table := fmt.Sprintf("Load before: %s, at the end: %s (%d rounds).\n\n", quiet, load(), s.rounds) + summary(results) + running + "\n" + markdown(results) + soaked + l.deltas(s)
	fmt.Print("\n", table)
	must(t, os.WriteFile(filepath.Join(out, "table.md"), []byte(table), 0o644))
	must(t, os.WriteFile(filepath.Join(out, "plot.svg"), []byte(plot(results)), 0o644))
}

// load is the machine's, over 1, 5 and 15 minutes.
func load() string {
	data, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return err.Error()
	}
	return strings.Join(strings.Fields(string(data))[:3], " ")
}

// measure runs every contender in turn, round after round in another order.
func (l *lab) measure(w *workload, rounds int) *result {
	l.Helper()
	l.shape(w.origin)
	all := l.contenders(w)
	if w.disk == quick && (!w.lean || len(w.images) == 0) {
		all = append(all, l.limits(w)...)
	}
	r := &result{workload: w, samples: map[string][]sample{}}
	for _, c := range all {
		r.names = append(r.names, c.name)
	}
	for range rounds {
		for _, i := range rand.Perm(len(all)) {
			c := all[i]
			r.samples[c.name] = append(r.samples[c.name], l.once(w, c))
		}
	}
	return r
}

// once runs one contender on a fresh filesystem and looks at what it made.
func (l *lab) once(w *workload, c contender) sample {
	l.Helper()
	disk := ""
	if !c.idle {
		disk = l.mount(ext4, w.room(), w.disk)
		defer l.unmount(disk)
	}
	s := c.run(disk)
	if s.err == nil && c.tree != "" {
		s.err = w.same(filepath.Join(disk, c.tree))
	}
	if s.err != nil && !errors.Is(s.err, errMissing) {
		fmt.Printf("  %s: %v\n", c.name, s.err)
	}
	return s
}

// soak repeats koboshi alone against an origin where requests fail, one run per
// core at a time, and returns a sentence with how many of them failed.
func (l *lab) soak(results []*result, runs int) string {
	l.Helper()
	var text strings.Builder
	for _, r := range results {
		if r.workload.origin != faulty {
			continue
		}
		l.shape(faulty)
		var failed atomic.Int64
		var group errgroup.Group
		group.SetLimit(runtime.NumCPU())
		for range runs {
			group.Go(func() error {
				if s := l.inMemory(r.workload); s.err != nil {
					failed.Add(1)
					fmt.Printf("  koboshi: %v\n", s.err)
				}
				return nil
			})
		}
		must(l, group.Wait())
		fmt.Fprintf(&text, "\nkoboshi alone, %s: %d of %d runs failed.\n", r.workload.title(), failed.Load(), runs)
		if failed.Load() > 0 {
			l.Errorf("koboshi failed %d times", failed.Load())
		}
	}
	return text.String()
}

// inMemory is one run of koboshi that no disk slows down.
func (l *lab) inMemory(w *workload) sample {
	disk, err := os.MkdirTemp("/dev/shm", "koboshi-bench-")
	if err != nil {
		return sample{err: err}
	}
	defer func() { _ = os.RemoveAll(disk) }()
	c := l.koboshi(w, koboshi, l.binary)
	s := c.run(disk)
	if s.err == nil {
		s.err = w.same(filepath.Join(disk, c.tree))
	}
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
