package flush

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/agent/config"
)

// imitation is what rsyslog leaves on the disk: the files of imfile and impstats.
type imitation struct {
	t   *testing.T
	dir string
}

func (r imitation) settings(globs ...string) config.Flush {
	f := config.Flush{Kind: config.Rsyslog, State: filepath.Join(r.dir, "state"), Stats: filepath.Join(r.dir, "stats")}
	for _, glob := range globs {
		f.Files = append(f.Files, filepath.Join(r.dir, "log", glob))
	}
	return f
}

func (r imitation) log(name string) string { return filepath.Join(r.dir, "log", name) }

func (r imitation) inode(path string) uint64 {
	r.t.Helper()
	info, err := os.Stat(path)
	must(r.t, err)
	return info.Sys().(*syscall.Stat_t).Ino
}

// read says that imfile has read and submitted so much of the file at path, which
// it knows by another name.
func (r imitation) read(path string, curr, strt int) {
	r.t.Helper()
	put(r.t, filepath.Join(r.dir, "state", fmt.Sprintf("imfile-state:%d", r.inode(path))),
		fmt.Sprintf(`{ "filename": "/old/name", "prev_was_nl": 0, "curr_offs": %d, "strt_offs": %d }`, curr, strt))
}

// report appends a block of statistics.
func (r imitation) report(size, enqueued, discarded int) {
	r.t.Helper()
	const date = "Sat Nov 28 18:31:42 2026: "
	add(r.t, filepath.Join(r.dir, "stats"),
		date+`{ "name": "global", "origin": "dynstats", "values": { } }`+"\n"+
			date+fmt.Sprintf(`{ "name": "action-0-omrelp", "origin": "core.action", "processed": %d, "failed": 0, "suspended": 0 }`, enqueued)+"\n"+
			date+fmt.Sprintf(`{ "name": "main Q", "origin": "core.queue", "size": %d, "enqueued": %d, "full": 0, "discarded.full": 0, "discarded.nf": %d, "maxqsize": 9 }`, size, enqueued, discarded)+"\n")
}

// every reports each second from a second on, until the function has no more.
func (r imitation) every(report func(n int) bool) {
	var tick func(n int)
	tick = func(n int) {
		after(time.Second, func() {
			if report(n) {
				tick(n + 1)
			}
		})
	}
	tick(1)
}

func imitate(t *testing.T) imitation {
	t.Helper()
	r := imitation{t, t.TempDir()}
	for _, dir := range []string{"state", "log"} {
		must(t, os.Mkdir(filepath.Join(r.dir, dir), 0o755))
	}
	r.report(0, 0, 0)
	return r
}

const lines = "one\ntwo\nthree\n" // 14 bytes

func TestRsyslog(t *testing.T) {
	for _, tt := range []struct {
		name  string
		play  func(t *testing.T, r imitation)
		want  Outcome
		left  int64
		lost  int64
		note  string
		least time.Duration
	}{
		{"delivered", func(_ *testing.T, r imitation) {
			r.read(put(r.t, r.log("app.log"), lines), 14, 14)
			r.every(func(int) bool { r.report(0, 3, 0); return true })
		}, Done, 0, 0, "", time.Second},
		{"what was reported before proves nothing", func(_ *testing.T, r imitation) {
			r.read(put(r.t, r.log("app.log"), lines), 14, 14)
			r.report(0, 3, 0)
		}, Unknown, 0, 0, "no later statistics", 0},
		{"read is not delivered", func(_ *testing.T, r imitation) {
			r.read(put(r.t, r.log("app.log"), lines), 14, 14)
			r.every(func(n int) bool { r.report(max(0, 6-n), 3, 0); return true })
		}, Done, 0, 0, "", 6 * time.Second},
		{"the receiver is away", func(_ *testing.T, r imitation) {
			r.read(put(r.t, r.log("app.log"), lines), 14, 14)
			r.every(func(int) bool { r.report(3, 3, 0); return true })
		}, Left, 3, 0, "", 0},
		{"read, but not submitted", func(_ *testing.T, r imitation) {
			r.read(put(r.t, r.log("app.log"), lines), 14, 8)
			r.every(func(int) bool { r.report(0, 2, 0); return true })
		}, Left, 6, 0, "", 0},
		{"read late", func(_ *testing.T, r imitation) {
			log := put(r.t, r.log("app.log"), lines)
			r.read(log, 4, 4)
			r.every(func(n int) bool {
				r.report(0, n, 0)
				r.read(log, 4+2*min(n, 5), 4+2*min(n, 5))
				return true
			})
		}, Done, 0, 0, "", 6 * time.Second},
		{"never read", func(_ *testing.T, r imitation) {
			r.read(put(r.t, r.log("app.log"), lines), 14, 14)
			put(r.t, r.log("other.log"), lines)
			r.every(func(int) bool { r.report(0, 3, 0); return true })
		}, Unknown, 14, 0, "imfile has no state of", 0},
		{"no file", func(_ *testing.T, r imitation) {
			r.every(func(int) bool { r.report(0, 3, 0); return true })
		}, Unknown, 0, 0, "no file matches", 0},
		{"empty and compressed files", func(_ *testing.T, r imitation) {
			put(r.t, r.log("app.log"), "")
			put(r.t, r.log("app.log.2.gz"), lines)
			r.every(func(int) bool { r.report(0, 3, 0); return true })
		}, Done, 0, 0, "", 0},
		{"no final newline", func(_ *testing.T, r imitation) {
			r.read(put(r.t, r.log("app.log"), lines+"half"), 18, 14)
			r.every(func(int) bool { r.report(0, 3, 0); return true })
		}, Done, 0, 0, "does not send its last 4 bytes", 0},
		{"the name was another file's", func(_ *testing.T, r imitation) {
			// The state that is named after the present file is that of the old one.
			old := put(r.t, r.log("app.log"), lines)
			r.read(old, 14, 14)
			must(r.t, os.Rename(old, r.log("app.log.1")))
			r.read(put(r.t, r.log("app.log"), lines+lines), 14, 14)
			r.every(func(int) bool { r.report(0, 3, 0); return true })
		}, Left, 14, 0, "", 0},
		{"renamed during the flush", func(_ *testing.T, r imitation) {
			log := put(r.t, r.log("app.log"), lines)
			r.read(log, 4, 4)
			after(time.Second, func() {
				must(r.t, os.Rename(log, r.log("moved")))
				r.read(put(r.t, log, "new\n"), 4, 4)
			})
			after(3*time.Second, func() { r.read(r.log("moved"), 14, 14) })
			r.every(func(int) bool { r.report(0, 3, 0); return true })
		}, Done, 0, 0, "", 3 * time.Second},
		{"deleted, but open", func(_ *testing.T, r imitation) {
			log := put(r.t, r.log("app.log"), lines)
			r.read(log, 4, 4)
			state := filepath.Join(r.dir, "state", fmt.Sprintf("imfile-state:%d", r.inode(log)))
			after(time.Second, func() { must(r.t, os.Remove(log)) })
			after(3*time.Second, func() { put(r.t, state, `{"strt_offs":14}`) })
			r.every(func(int) bool { r.report(0, 3, 0); return true })
		}, Done, 0, 0, "", 3 * time.Second},
		{"deleted with its state, when it was read", func(_ *testing.T, r imitation) {
			log := put(r.t, r.log("app.log"), lines)
			r.read(log, 14, 14)
			after(500*time.Millisecond, func() { must(r.t, os.Remove(log)); must(r.t, os.RemoveAll(filepath.Join(r.dir, "state"))) })
			after(600*time.Millisecond, func() { must(r.t, os.Mkdir(filepath.Join(r.dir, "state"), 0o755)) })
			r.every(func(int) bool { r.report(0, 3, 0); return true })
		}, Done, 0, 0, "", 0},
		{"copied and cut short", func(_ *testing.T, r imitation) {
			log := put(r.t, r.log("app.log"), lines)
			r.read(log, 4, 4)
			after(time.Second, func() { must(r.t, os.Truncate(log, 0)) })
			r.every(func(int) bool { r.report(0, 3, 0); return true })
		}, Unknown, 0, 0, "was cut short: 10 bytes", 0},
		{"cut short when all was read", func(_ *testing.T, r imitation) {
			log := put(r.t, r.log("app.log"), lines)
			r.read(log, 14, 14)
			after(500*time.Millisecond, func() { must(r.t, os.Truncate(log, 0)) })
			r.every(func(int) bool { r.report(0, 3, 0); return true })
		}, Done, 0, 0, "", 0},
		{"a file that grows is measured again", func(_ *testing.T, r imitation) {
			log := put(r.t, r.log("app.log"), lines)
			r.read(log, 14, 14)
			after(900*time.Millisecond, func() { add(r.t, log, "four\n") })
			after(5500*time.Millisecond, func() { r.read(log, 19, 19) })
			r.every(func(int) bool { r.report(0, 3, 0); return true })
		}, Done, 0, 0, "", 6 * time.Second},
		{"grown and read since the last report", func(_ *testing.T, r imitation) {
			log := put(r.t, r.log("app.log"), lines)
			r.read(log, 14, 14)
			after(500*time.Millisecond, func() { r.report(0, 3, 0) })
			after(700*time.Millisecond, func() { add(r.t, log, "four\n"); r.read(log, 19, 19) })
		}, Unknown, 0, 0, "no later statistics", 0},
		{"a report that may have been made before", func(_ *testing.T, r imitation) {
			r.read(put(r.t, r.log("app.log"), lines), 14, 14)
			after(500*time.Millisecond, func() {
				add(r.t, filepath.Join(r.dir, "stats"), `{ "name": "main Q", "origin": "core.queue", "size": 0, "enqueued": 3 }`+"\n")
			})
		}, Unknown, 0, 0, "no later statistics", 0},
		{"a state of the inode's former file", func(_ *testing.T, r imitation) {
			log := put(r.t, r.log("app.log"), lines)
			r.read(log, 99, 99)
			r.every(func(int) bool { r.report(0, 3, 0); return true })
		}, Unknown, 14, 0, "is of a longer file", 0},
		{"torn, then whole", func(_ *testing.T, r imitation) {
			log := put(r.t, r.log("app.log"), lines)
			r.read(log, 14, 14)
			state := filepath.Join(r.dir, "state", fmt.Sprintf("imfile-state:%d", r.inode(log)))
			put(r.t, state, `{ "filename": "/x", "curr_o`)
			after(3*time.Second, func() { r.read(log, 14, 14) })
			r.every(func(int) bool { r.report(0, 3, 0); return true })
		}, Done, 0, 0, "", 3 * time.Second},
		{"a queue that discards", func(_ *testing.T, r imitation) {
			r.read(put(r.t, r.log("app.log"), lines), 14, 14)
			r.every(func(n int) bool { r.report(0, 3, 2); return true })
		}, Lost, 0, 2, "", 0},
		{"restarted", func(_ *testing.T, r imitation) {
			log := put(r.t, r.log("app.log"), lines)
			r.read(log, 4, 4)
			r.report(2, 5, 0)
			r.every(func(n int) bool {
				r.report(0, 1, 0)
				r.read(log, 14, 14)
				return true
			})
		}, Unknown, 0, 0, "was restarted", 0},
		{"stopped", func(_ *testing.T, r imitation) {
			r.read(put(r.t, r.log("app.log"), lines), 4, 4)
		}, Left, 10, 0, "", 0},
		{"no statistics", func(_ *testing.T, r imitation) {
			r.read(put(r.t, r.log("app.log"), lines), 14, 14)
			must(r.t, os.Remove(filepath.Join(r.dir, "stats")))
		}, Unknown, 0, 0, "stats: no such file", 0},
		{"no state directory", func(_ *testing.T, r imitation) {
			put(r.t, r.log("app.log"), lines)
			must(r.t, os.Remove(filepath.Join(r.dir, "state")))
		}, Unknown, 0, 0, "state: no such file", 0},
		{"statistics of another format", func(_ *testing.T, r imitation) {
			r.read(put(r.t, r.log("app.log"), lines), 14, 14)
			put(r.t, filepath.Join(r.dir, "stats"), "main Q: origin=core.queue size=0 enqueued=3\n")
		}, Unknown, 0, 0, `no core.queue`, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := imitate(t)
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				tt.play(t, imitation{t, r.dir})
				f := flusher(t, r.settings("*.log*"), Deps{})
				f.Before(t.Context())
				expect(t, f.Await(t.Context()), tt.want, tt.left, tt.lost, tt.note)
				if took := time.Since(began); took < tt.least {
					t.Errorf("after %s, want at least %s", took, tt.least)
				}
			})
		})
	}
}

// Without files two reports of the queues must agree.
func TestRsyslogWithoutFiles(t *testing.T) {
	r := imitate(t)
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		r := imitation{t, r.dir}
		r.every(func(n int) bool { r.report(0, min(n, 7), 0); return true })
		f := flusher(t, r.settings(), Deps{})
		f.Before(t.Context())
		expect(t, f.Await(t.Context()), Done, 0, 0, "")
		if took := time.Since(began); took < 8*time.Second {
			t.Errorf("done after %s: the inputs had not come to rest", took)
		}
	})
}

// What is in the state directory is untrusted.
func TestStateIsUntrusted(t *testing.T) {
	const state = `{"strt_offs":14}`
	for name, plant := range map[string]func(t *testing.T, dir, name string){
		"a link out of it": func(t *testing.T, dir, name string) {
			must(t, os.Symlink(put(t, filepath.Join(dir, "../x"), state), filepath.Join(dir, name)))
		},
		"a link within it": func(t *testing.T, dir, name string) {
			must(t, os.Symlink(filepath.Base(put(t, filepath.Join(dir, "x"), state)), filepath.Join(dir, name)))
		},
		"a pipe":      func(t *testing.T, dir, name string) { must(t, syscall.Mkfifo(filepath.Join(dir, name), 0o644)) },
		"a directory": func(t *testing.T, dir, name string) { must(t, os.Mkdir(filepath.Join(dir, name), 0o755)) },
		"a huge file": func(t *testing.T, dir, name string) {
			put(t, filepath.Join(dir, name), state+strings.Repeat(" ", 1<<20))
		},
		"a negative offset":  func(t *testing.T, dir, name string) { put(t, filepath.Join(dir, name), `{"strt_offs":-1}`) },
		"no offset":          func(t *testing.T, dir, name string) { put(t, filepath.Join(dir, name), `{"curr_offs":14}`) },
		"too large a number": func(t *testing.T, dir, name string) { put(t, filepath.Join(dir, name), `{"strt_offs":14e99}`) },
	} {
		t.Run(name, func(t *testing.T) {
			r := imitate(t)
			log := put(t, r.log("app.log"), lines)
			plant(t, filepath.Join(r.dir, "state"), fmt.Sprintf("imfile-state:%d:0123", r.inode(log)))
			synctest.Test(t, func(t *testing.T) {
				r := imitation{t, r.dir}
				r.every(func(int) bool { r.report(0, 3, 0); return true })
				expect(t, flusher(t, r.settings("*.log"), Deps{}).Await(limited(t, 3*time.Second)), Unknown, 14, 0, "")
			})
		})
	}
}

func TestTooManyStateFiles(t *testing.T) {
	r := imitate(t)
	put(t, r.log("app.log"), lines)
	for i := range maxFiles + 1 {
		must(t, os.Symlink("x", filepath.Join(r.dir, "state", fmt.Sprint(i))))
	}
	expect(t, flusher(t, r.settings("*.log"), Deps{}).Look(t.Context()), Unknown, 0, 0, "more than 10000 state files")
}

func TestLookWhileTheAppRuns(t *testing.T) {
	r := imitate(t)
	log := put(t, r.log("app.log"), lines)
	r.read(log, 8, 8)
	expect(t, flusher(t, r.settings("*.log"), Deps{}).Look(t.Context()), Left, 6, 0, "")
	r.read(log, 14, 14)
	expect(t, flusher(t, r.settings("*.log"), Deps{}).Look(t.Context()), Done, 0, 0, "")
	r.report(4, 4, 0)
	expect(t, flusher(t, r.settings("*.log"), Deps{}).Look(t.Context()), Left, 4, 0, "")
}

func TestSlowReports(t *testing.T) {
	r := imitate(t)
	r.read(put(t, r.log("app.log"), lines), 14, 14)
	for _, date := range []string{"Sat Nov 28 18:31:42 2026", "Sat Nov 28 18:36:42 2026"} {
		add(t, filepath.Join(r.dir, "stats"), date+`: { "name": "resource-usage", "origin": "impstats", "utime": 3875 }`+"\n")
	}
	expect(t, flusher(t, r.settings("*.log"), Deps{}).Look(t.Context()), Done, 0, 0, `it reports every 5m0s: set interval="1" of impstats`)
	if slow := flusher(t, r.settings("*.log"), Deps{}).Look(t.Context()).Slow; slow != `it reports every 5m0s: set interval="1" of impstats` {
		t.Errorf("advice by itself: %q", slow)
	}

	log := put(t, filepath.Join(r.dir, "agent.log"), progress(flowName, 9, 0, 9, 0)+strings.ReplaceAll(progress(flowName, 9, 0, 9, 0), "00:57:16", "00:57:46"))
	expect(t, flusher(t, config.Flush{Kind: config.KinesisAgent, Log: log}, Deps{}).Look(t.Context()), Done, 0, 0, "it reports every 30s: set log.statusReportingPeriodSeconds to 1")
}
