package flush

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/agent/config"
)

// Each kind of the configuration can be made, and no other.
func TestKinds(t *testing.T) {
	run := func(context.Context, string, config.Flush) (int, string, error) { return 0, "", nil }
	for _, kind := range config.FlushKinds() {
		f, err := New("app", config.Flush{Kind: kind}, Deps{Command: run})
		if err != nil || f.Name() != "app" || f.Kind() != kind {
			t.Errorf("%s: %v", kind, err)
		}
	}
	for _, kind := range []string{"", "splunk"} {
		if _, err := New("app", config.Flush{Kind: kind}, Deps{}); err == nil {
			t.Errorf("kind %q was made", kind)
		}
	}
	if _, err := New("app", config.Flush{Kind: config.FlushCommand}, Deps{}); err == nil {
		t.Error("a command was made that nothing can run")
	}
}

// gauge answers with one number after the other, and then with the last.
func gauge(t *testing.T, format string, values ...int) web {
	return func(string) (int, string) {
		v := values[0]
		if len(values) > 1 {
			values = values[1:]
		}
		return 200, fmt.Sprintf(format, v)
	}
}

func TestTwoLooksMustAgree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The queue is empty between two batches, and the input has moved on.
		began, n := time.Now(), 0
		f := flusher(t, config.Flush{Kind: config.FlushMetrics, URL: "http://x/", Zero: []string{"queue"}, Equal: [][2]string{{"in", "out"}}}, Deps{Transport: web(func(string) (int, string) {
			n = min(n+1, 9)
			return 200, fmt.Sprintf("queue 0\nin %d\nout %d\n", n, n)
		})})
		expect(t, f.Await(t.Context()), Done, 0, 0, "")
		if took := time.Since(began); n != 9 || took < 5*time.Second {
			t.Errorf("done after %s, at look %d: the input had not come to rest", took, n)
		}
	})
}

func TestQuietIsNotEnoughAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		f := flusher(t, config.Flush{Kind: config.FlushMetrics, URL: "http://x/", Zero: []string{"queue"}, Equal: [][2]string{{"in", "in"}}}, Deps{Transport: web(func(string) (int, string) {
			n++
			return 200, fmt.Sprintf("queue 0\nin %d\n", n)
		})})
		expect(t, f.Await(t.Context()), Unknown, 0, 0, "not confirmed by a second look")
	})
}

func TestLeftWhenTheTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		f := flusher(t, config.Flush{Kind: config.FlushMetrics, URL: "http://x/", Zero: []string{"queue"}, Timeout: config.Duration(20 * time.Second)}, Deps{Transport: gauge(t, "queue %d\n", 3, 7)})
		expect(t, f.Await(t.Context()), Left, 7, 0, "")
		if took := time.Since(began); took != 20*time.Second {
			t.Errorf("took %s", took)
		}
		expect(t, f.Await(limited(t, time.Second)), Left, 7, 0, "")
	})
}

func TestUnreachable(t *testing.T) {
	for _, tt := range []struct {
		name string
		web  web
		note string
	}{
		{"refused", func(string) (int, string) { return 0, "" }, "GET http://x/m: connection refused"},
		{"a redirect", func(string) (int, string) { return 302, "" }, "status 302"},
		{"an error", func(string) (int, string) { return 500, "queue 0\n" }, "status 500"},
		{"large", func(string) (int, string) { return 200, strings.Repeat("#\n", 1<<20) }, "larger than 1 MiB"},
		{"HTML", func(string) (int, string) { return 200, "<html>\nqueue 0\n" }, "not in Prometheus' text format"},
		{"half a document", func(string) (int, string) { return 200, `{"queue":0` }, "neither JSON nor Prometheus text"},
		{"no such metric", func(string) (int, string) { return 200, "queued 0\n" }, `no number at "queue"`},
		{"no number", func(string) (int, string) { return 200, "queue NaN\n" }, `no number at "queue"`},
		{"less than nothing", func(string) (int, string) { return 200, "queue -1\n" }, "queue is -1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := flusher(t, config.Flush{Kind: config.FlushMetrics, URL: "http://u:secret@x/m?key=secret", Zero: []string{"queue"}}, Deps{Transport: tt.web})
				got := f.Await(limited(t, 3*time.Second))
				expect(t, got, Unknown, 0, 0, tt.note)
				if strings.Contains(got.Note, "secret") {
					t.Errorf("note %q", got.Note)
				}
			})
		})
	}
}

// A shipper that hangs for a while is asked again.
func TestShipperHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, looks := time.Now(), 0
		hang := transport(func(ctx context.Context) (string, error) {
			if looks++; looks > 2 {
				return "queue 0\n", nil
			}
			<-ctx.Done()
			return "", ctx.Err()
		})
		f := flusher(t, config.Flush{Kind: config.FlushMetrics, URL: "http://x/", Zero: []string{"queue"}}, Deps{Transport: hang})
		expect(t, f.Look(t.Context()), Unknown, 0, 0, "no answer after 5s")
		expect(t, f.Await(t.Context()), Done, 0, 0, "")
		if took := time.Since(began); took > 13*time.Second {
			t.Errorf("took %s", took)
		}
	})
}

func TestJSONPath(t *testing.T) {
	value, err := valuesOf([]byte(`{"plugins":[{"queue":3,"retry":"x"},{"other":1},{"queue":4.5}],"a":{"b":{"c":1},"d":{"c":2}}}`))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int64{"plugins.*.queue": 8, "plugins.0.queue": 3, "a.b.c": 1, "a.*.c": 3, "a.b": -1, "plugins.1.queue": -1, "plugins.*.retry": -1, "": -1, "x": -1} {
		got, found := value(path)
		if !found {
			got = -1
		}
		if got != want {
			t.Errorf("%q: %d, want %d", path, got, want)
		}
	}
}

func TestPrometheusText(t *testing.T) {
	all, err := parsePrometheus([]byte("# HELP x y\nsent_total{a=\"1\",b=\"x, \\\"}\"} 3\nsent_total{a=\"2\"} 4.2 1700000000\nbuilt 1e3\nempty{} 0\nx +Inf\n"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int64{"sent": 8, "sent_total": 8, `sent{a="1"}`: 3, `sent{a="1",b="x, \"}"}`: 3, `sent{a="3"}`: -1, "built": 1000, "empty": 0, "x": -1, "": -1, "sen": -1} {
		got, found := sum(all, name)
		if !found {
			got = -1
		}
		if got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
	for _, bad := range []string{"x", "x{a=1} 1", "x{a=\"1\" 1", "x{ 1", "{} 1", "x y"} {
		if _, err := parsePrometheus([]byte(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestCommand(t *testing.T) {
	for _, tt := range []struct {
		name    string
		exits   []int
		err     error
		outcome Outcome
		note    string
		runs    int
	}{
		{"idle", []int{0}, nil, Done, "", 1},
		{"idle after a while", []int{75, 75, 0}, nil, Done, "", 3},
		{"failed", []int{75, 3, 0}, nil, Unknown, "exited with status 3; 5 in the queue", 2},
		{"never", []int{75}, nil, Left, "asks to be run again; 5 in the queue", 0},
		{"cannot be run", []int{0}, errors.New("no such program"), Unknown, "no such program", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				runs := 0
				f := flusher(t, config.Flush{Kind: config.FlushCommand, Command: []string{"idle"}}, Deps{Command: func(_ context.Context, name string, f config.Flush) (int, string, error) {
					if name != "app" || !slices.Equal(f.Command, []string{"idle"}) {
						t.Errorf("%s: %q", name, f.Command)
					}
					runs++
					return tt.exits[min(runs, len(tt.exits))-1], "5 in the queue", tt.err
				}})
				f.Before(t.Context())
				expect(t, f.Look(t.Context()), Unknown, 0, 0, "run only after")
				if runs != 0 {
					t.Error("it was run while the app still ran")
				}
				expect(t, f.Await(t.Context()), tt.outcome, 0, 0, tt.note)
				if tt.runs > 0 && runs != tt.runs {
					t.Errorf("%d runs, want %d", runs, tt.runs)
				}
			})
		})
	}
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		settings := config.Flush{Kind: config.FlushWait, For: config.Duration(90 * time.Second)}
		f := flusher(t, settings, Deps{})
		f.Before(t.Context())
		expect(t, f.Look(t.Context()), Unknown, 0, 0, "waits 1m30s and checks nothing")
		expect(t, f.Await(t.Context()), Done, 0, 0, "nothing was checked")
		if took := time.Since(began); took != 90*time.Second {
			t.Errorf("took %s", took)
		}
		expect(t, flusher(t, settings, Deps{}).Await(limited(t, 10*time.Second)), Unknown, 0, 0, "cut short")
	})
}
