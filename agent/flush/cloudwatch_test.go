package flush

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/agent/config"
)

// cloudWatchAgent imitates the state files of the CloudWatch agent.
type cloudWatchAgent struct {
	t   *testing.T
	dir string
}

func (a cloudWatchAgent) settings(files ...string) config.Flush {
	return config.Flush{Kind: config.CloudWatchAgent, State: filepath.Join(a.dir, "state"), Files: files}
}

// save writes the state of a log: the highest offset, and the ranges unless
// they are "".
func (a cloudWatchAgent) save(log string, highest int, ranges string) {
	a.t.Helper()
	text := fmt.Sprintf("%d\n%s", highest, log)
	if ranges != "" {
		text += "\n" + ranges
	}
	put(a.t, filepath.Join(a.dir, "state", cloudWatchState(log)), text)
}

func TestCloudWatchAgent(t *testing.T) {
	for _, tt := range []struct {
		name  string
		play  func(t *testing.T, a cloudWatchAgent, log string)
		want  Outcome
		left  int64
		note  string
		least time.Duration
	}{
		{"accepted", func(_ *testing.T, a cloudWatchAgent, log string) { a.save(log, 14, "0-14") }, Done, 0, "", 0},
		{"an older agent", func(_ *testing.T, a cloudWatchAgent, log string) { a.save(log, 14, "") }, Done, 0, "", 0},
		{"in part", func(_ *testing.T, a cloudWatchAgent, log string) { a.save(log, 8, "0-8") }, Left, 6, "", 0},
		{"a later batch overtakes", func(_ *testing.T, a cloudWatchAgent, log string) {
			a.save(log, 14, "0-4,8-14") // the highest offset is the size
			after(5*time.Second, func() { a.save(log, 14, "0-14") })
		}, Done, 0, "", 5 * time.Second},
		{"a batch that is retried to the end", func(_ *testing.T, a cloudWatchAgent, log string) { a.save(log, 14, "4-14") }, Left, 14, "", 0},
		{"torn, then whole", func(_ *testing.T, a cloudWatchAgent, log string) {
			put(a.t, filepath.Join(a.dir, "state", cloudWatchState(log)), "1")
			after(time.Second, func() { a.save(log, 14, "0-14") })
		}, Done, 0, "", time.Second},
		{"empty", func(_ *testing.T, a cloudWatchAgent, log string) {
			put(a.t, filepath.Join(a.dir, "state", cloudWatchState(log)), "")
		}, Unknown, 14, "not two or three lines", 0},
		{"no state", func(*testing.T, cloudWatchAgent, string) {}, Unknown, 14, "the agent has no state of", 0},
		{"renamed", func(t *testing.T, a cloudWatchAgent, log string) {
			a.save(log, 4, "0-4")
			after(time.Second, func() { must(t, os.Rename(log, log+".1")); put(t, log, lines); a.save(log, 14, "0-14") })
		}, Unknown, 10, "was renamed or deleted", 0},
		{"renamed when all was accepted", func(t *testing.T, a cloudWatchAgent, log string) {
			a.save(log, 14, "0-14")
			after(100*time.Millisecond, func() { must(t, os.Rename(log, log+".1")) })
		}, Done, 0, "", 0},
		{"the state of the file that had the name", func(t *testing.T, a cloudWatchAgent, log string) {
			a.save(log, 14, "0-14")
			later := time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
			must(t, os.Chtimes(log, later, later))
		}, Unknown, 14, "is older than its last line", 0},
		{"of a longer file that had the name", func(_ *testing.T, a cloudWatchAgent, log string) { a.save(log, 99, "0-99") }, Unknown, 14, "is of a longer file", 0},
		{"of a file with a like name", func(_ *testing.T, a cloudWatchAgent, log string) {
			put(a.t, filepath.Join(a.dir, "state", cloudWatchState(log)), "14\n/var/x\n0-14")
		}, Unknown, 14, "is the state of /var/x", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			must(t, os.Mkdir(filepath.Join(dir, "state"), 0o755))
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				log := put(t, filepath.Join(dir, "a log:1"), lines)
				past := time.Now().AddDate(-50, 0, 0)
				must(t, os.Chtimes(log, past, past))
				a := cloudWatchAgent{t, dir}
				tt.play(t, a, log)
				expect(t, flusher(t, a.settings(log), Deps{}).Await(t.Context()), tt.want, tt.left, 0, tt.note)
				if took := time.Since(began); took < tt.least {
					t.Errorf("after %s, want at least %s", took, tt.least)
				}
			})
		})
	}
}

func TestRanges(t *testing.T) {
	for text, want := range map[string]int64{"0-5": 5, "0-5,7-9": 5, "5-9": 0, "0-": -1, "5-5": -1, "9-5": -1, "": -1, "0-5,5-9": -1, "0-5,3-9": -1, "a-b": -1, "-1-5": -1} {
		got, _, err := parseRanges(text)
		if err != nil {
			got = -1
		}
		if got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
	if _, _, err := parseCloudWatch([]byte("9\n/x\n0-5")); err == nil {
		t.Error("ranges were read that end before the highest offset")
	}
}
