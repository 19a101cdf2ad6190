package main

import (
	"bufio"
	"bytes"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"koboshi/agent/report"
)

func TestRemaining(t *testing.T) {
	half := report.Event{Total: 200e6, Step: report.Step{Bytes: 100e6}}
	for _, c := range []struct {
		e    report.Event
		took time.Duration
		room int
		want string
	}{
		{half, 5 * time.Second, 0, "  100 MB of 200 MB  20.0 MB/s  6 s left"}, // not on a terminal
		{half, 5 * time.Second, 80, "  100 MB of 200 MB  20.0 MB/s  6 s left"},
		{half, 5 * time.Second, 40, "  100 MB of 200 MB  20.0 MB/s  6 s left"},
		{half, 5 * time.Second, 39, "  100 MB of 200 MB  6 s left"},
		{half, 5 * time.Second, 27, "  100 MB  6 s left"},
		{half, 5 * time.Second, 15, "6 s left"},
		{half, 90 * time.Second, 0, "  100 MB of 200 MB  1.11 MB/s  1 min 30 s left"},
		{report.Event{Step: report.Step{Bytes: 100e6}}, 5 * time.Second, 20, "  100 MB  20.0 MB/s"},
		{report.Event{Total: 1, Step: report.Step{Bytes: 100e6}}, 5 * time.Second, 0, "  100 MB  20.0 MB/s"}, // more than it should be
		{report.Event{Total: 200e6}, 5 * time.Second, 0, "…"},
		{half, 0, 0, "…"},
	} {
		if got := remaining(c.e, c.took, c.room); got != c.want {
			t.Errorf("%d of %d bytes in %s, %d columns: %q, want %q", c.e.Step.Bytes, c.e.Total, c.took, c.room, got, c.want)
		}
	}
}

// aTerminal is one of so many columns, and what is written to it so far.
func aTerminal(t *testing.T, width uint16) (terminal *os.File, resize func(uint16), written func() string) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	must(t, err)
	t.Cleanup(func() { _ = master.Close() })
	must(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	must(t, err)
	terminal, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	t.Cleanup(func() { _ = terminal.Close() })
	resize = func(width uint16) {
		must(t, unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: width, Row: 24}))
	}
	resize(width)
	return terminal, resize, func() string {
		_, err := terminal.WriteString("\x00") // what was written before it is there before it
		must(t, err)
		text, err := bufio.NewReader(master).ReadString(0)
		must(t, err)
		return strings.TrimSuffix(text, "\x00")
	}
}

func TestProgressOnATerminal(t *testing.T) {
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	terminal, resize, written := aTerminal(t, 80)
	u := newUI(terminal, terminal)
	half := report.Event{Kind: report.Progress, Total: 200e6, Step: report.Step{Name: "install", Bytes: 100e6, MS: 5000}}
	u.observe(half)
	if got, want := written(), "  install      100 MB of 200 MB  20.0 MB/s  6 s left"; got != want {
		t.Errorf("80 columns: %q, want %q", got, want)
	}
	resize(30) // the 53 columns stand in two rows now
	u.observe(half)
	if got, want := written(), "\x1b[1A\r\x1b[J\r\x1b[K  install    6 s left"; got != want {
		t.Errorf("30 columns: %q, want %q", got, want)
	}
	u.say("web 1.0.0 serves")
	if got, want := written(), "\r\x1b[Kkoboshi: web 1.0.0 serves\r\n"; got != want {
		t.Errorf("after it: %q, want %q", got, want)
	}
	half.Kind = report.Finished
	u.observe(half)
	if got, want := written(), "\x1b[32m✓\x1b[0m install      5.00 s  \x1b[2m100 MB at 20.0 MB/s\x1b[0m\r\n"; got != want {
		t.Errorf("at its end: %q, want %q", got, want)
	}
}

func TestNoColourAndADumbTerminal(t *testing.T) {
	step := report.Event{Kind: report.Finished, Step: report.Step{Name: "gate", MS: 10}}
	for name, c := range map[string]struct{ term, noColour, want string }{
		"no colour":       {"xterm", "1", "✓ gate          10 ms  \r\n"},
		"a dumb terminal": {"dumb", "", "koboshi: gate: 10 ms\r\n"},
	} {
		t.Setenv("TERM", c.term)
		t.Setenv("NO_COLOR", c.noColour)
		terminal, _, written := aTerminal(t, 80)
		u := newUI(terminal, terminal)
		u.observe(report.Event{Kind: report.Started, Step: step.Step})
		u.observe(step)
		got := written()
		if !strings.HasSuffix(got, c.want) || strings.Contains(got, "\x1b[3") {
			t.Errorf("%s: %q, want %q and no colour", name, got, c.want)
		}
	}
}

func TestProgressOfUploadsOnATerminal(t *testing.T) {
	t.Setenv("TERM", "xterm")
	terminal, _, written := aTerminal(t, 80)
	u := newUI(terminal, terminal)
	up := u.uploads()
	up.began = time.Now()
	up.add("artifact", 100e6, 150e6)
	up.add("index", 0, 50e6)
	up.add("artifact", 50e6, 150e6) // an attempt failed
	up.show(up.began.Add(5 * time.Second))
	if got, want := written(), "  upload      50.0 MB of 200 MB  10.0 MB/s  16 s left"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	must(t, up.during(func() error { return nil }))
	if got, want := written(), "\r\x1b[K"; got != want {
		t.Errorf("at its end: %q, want %q", got, want)
	}
}

// In a pipe long work prints a line every ten seconds, and short work none.
func TestProgressInAPipe(t *testing.T) {
	for format, want := range map[string]string{
		"": "koboshi: pack dist: 100 MB of 200 MB, 10.0 MB/s, 11 s left\n" +
			"koboshi: upload: 10.0 s so far\nkoboshi: upload: 100 MB of 160 MB, 5.00 MB/s, 13 s left\n",
		"json": `"msg":"progress","step":"pack dist","ms":10000,"bytes":100000000,"total":200000000}` + "\n" +
			`"msg":"progress","step":"upload","ms":10000,"bytes":0,"total":0}` + "\n" +
			`"msg":"progress","step":"upload","ms":20000,"bytes":100000000,"total":160000000}` + "\n",
	} {
		synctest.Test(t, func(t *testing.T) {
			var out strings.Builder
			u := newUI(&out, &out)
			must(t, u.setLogFormat(format))
			packed := u.transfer("pack dist")
			for i := range int64(15) {
				pass(time.Second)
				packed((i+1)*10e6, 200e6)
			}
			up := u.uploads()
			must(t, up.during(func() error {
				pass(15 * time.Second)
				up.add("first", 60e6, 60e6)
				up.add("second", 20e6, 100e6)
				up.add("second", 40e6, 100e6)
				pass(10 * time.Second)
				return nil
			}))
			must(t, u.uploads().during(func() error { pass(9 * time.Second); return nil }))
			var got strings.Builder
			for line := range strings.Lines(out.String()) {
				got.WriteString(line[max(0, strings.Index(line, `"msg"`)):]) // without the time
			}
			if got.String() != want {
				t.Errorf("%q printed\n%swant\n%s", format, got.String(), want)
			}
		})
	}
}

// How many requests were made is shown at a terminal only, and gone at the end.
func TestRequests(t *testing.T) {
	var out bytes.Buffer
	u := newUI(&out, &out)
	u.requests()(1, 2)
	if out.Len() > 0 {
		t.Errorf("without a terminal: %q", &out)
	}
	u.terminal = true
	count := u.requests()
	count(1, 2)
	count(2, 2)
	if want := "  1 of 2 requests\r\x1b[K"; out.String() != want || u.drawn != 0 {
		t.Errorf("%q, want %q", &out, want)
	}
}
