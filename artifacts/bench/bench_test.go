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
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"
)

// out is where inputs are kept and results are written.
const out = "../../.build/bench"

// scale is how much is measured.
type scale struct {
	whole  bool // all workloads, or only some
	rounds int
	soak   int            // more runs of koboshi where requests fail
	only   *regexp.Regexp // titles of workloads
}

func chooseScale() scale {
	s := scale{whole: true, rounds: 5, soak: 100}
	if os.Getenv("BENCH") == "short" {
		s = scale{rounds: 3, soak: 10}
	}
	s.only = regexp.MustCompile(os.Getenv("ONLY"))
	return s
}

// TestBench prints one table and writes it, and a plot, to .build/bench.
func TestBench(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("a fresh filesystem for every run needs root")
	}
	s := chooseScale()
	l := newLab(t)
	var results []*result
	for _, w := range l.workloads(s) {
		if !s.only.MatchString(w.title()) {
			continue
		}
		fmt.Println("measuring", w.title())
		r := l.measure(w, s.rounds)
		if n := r.failed(koboshi); n > 0 {
			t.Errorf("koboshi failed %d of %d times: %s", n, s.rounds, w.title())
		}
		results = append(results, r)
	}
	soaked := l.soak(results, s.soak)
	table := markdown(results) + soaked + l.deltas(s)
	fmt.Print("\n", table)
	must(t, os.WriteFile(filepath.Join(out, "table.md"), []byte(table), 0o644))
	must(t, os.WriteFile(filepath.Join(out, "plot.svg"), []byte(plot(results)), 0o644))
}

// measure runs every contender in turn, round after round in another order.
func (l *lab) measure(w *workload, rounds int) *result {
	l.Helper()
	l.shape(w.origin)
	all := append(l.contenders(w), l.limits(w)...)
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
		disk = l.mount(ext4, w.room())
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
