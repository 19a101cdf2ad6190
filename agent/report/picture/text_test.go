package picture

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"koboshi/agent/report"
	"koboshi/agent/report/reporttest"
)

var boot = time.Date(2026, 11, 21, 10, 0, 0, 250e6, time.UTC)

// failedBoot is a boot whose gate ends in an error.
func failedBoot() report.Report {
	at := func(ms int64) time.Time { return boot.Add(time.Duration(ms) * time.Millisecond) }
	return report.Report{Started: boot, MS: 32_610, Channel: "stable",
		Target: &report.Release{Version: "1.5.0"}, Release: &report.Release{Version: "1.4.0"},
		Lifecycle: report.Lifecycle{Hook: "koboshi-launching", Result: "ABANDON", Heartbeats: 2},
		Error:     &report.Error{Code: 20, Message: "unhealthy after 30s", Hint: "check the app's own log"},
		Steps: []report.Step{
			{Name: "discover", Started: boot, MS: 12, Attempts: 1},
			{Name: "configure", Started: at(12), MS: 0, Attempts: 1},
			{Name: "resolve", Started: at(12), MS: 640, Bytes: 5120, Attempts: 3},
			{Name: "fetch", Started: at(652), MS: 1240, Bytes: 63_000_000, Attempts: 1},
			{Name: "stage", Started: at(700), MS: 1660, Attempts: 1, Note: "15012 entries"},
			{Name: "activate", Started: at(2360), MS: 4, Attempts: 1},
			{Name: "gate", Started: at(2364), MS: 30000, Attempts: 1, Error: "probe: status 503, want 2xx"},
			{Name: "signal", Started: at(32_400), MS: 210, Attempts: 2},
		}}
}

// parallel is a good boot whose steps overlap and nest.
func parallel() report.Report {
	at := func(ms int64) time.Time { return boot.Add(time.Duration(ms) * time.Millisecond) }
	return report.Report{Steps: []report.Step{
		{Name: "install", Started: at(0), MS: 4000, Attempts: 1},
		{Name: "fetch", Started: at(500), MS: 2500, Bytes: 250_000_000, Attempts: 1},
		{Name: "unpack", Started: at(600), MS: 2900, Attempts: 1},
		{Name: "link", Started: at(3500), Attempts: 1},
		{Name: "sync-file-system", Started: at(3500), MS: 480, Attempts: 1},
		{Name: "a-step-with-quite-a-long-name", Started: at(3980), MS: 20, Attempts: 12},
	}}
}

func TestRows(t *testing.T) {
	late := report.Step{Name: "b", Started: boot.Add(time.Second), MS: 2000, Bytes: 3_000_000, Attempts: 2, Note: "resumed", Error: "reset"}
	moved := report.Step{Name: "c", Started: boot.Add(time.Second), MS: 0, Bytes: 512, Attempts: 1}
	wild := report.Step{Name: "d", Started: boot.Add(2 * time.Second), MS: -7, Bytes: -7, Attempts: -7}
	first := report.Step{Name: "a", Started: boot, MS: 1, Attempts: 1}
	got := Rows(report.Report{Steps: []report.Step{late, moved, wild, first}})
	want := []Row{
		{"a", boot, boot.Add(time.Millisecond), "", ClassStep},
		{"b", boot.Add(time.Second), boot.Add(3 * time.Second), "2 attempts, 3.00 MB, 1.50 MB/s, resumed, reset", ClassFailed},
		{"c", boot.Add(time.Second), boot.Add(time.Second), "512 B", ClassTransfer},
		{"d", boot.Add(2 * time.Second), boot.Add(2 * time.Second), "", ClassStep},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("rows\n got %+v\nwant %+v", got, want)
	}
}

func TestSpanOfRows(t *testing.T) {
	rows := []Row{
		{Start: boot, End: boot.Add(time.Second)},
		{Start: boot.Add(-time.Second), End: boot.Add(-time.Hour)},
		{Start: boot.Add(-time.Millisecond), End: boot},
	}
	if d := rows[1].Duration(); d != 0 {
		t.Errorf("a row that ends before it starts lasts %s", d)
	}
	first, total := span(rows)
	if !first.Equal(boot.Add(-time.Second)) || total != 2*time.Second {
		t.Errorf("%s from %s, want 2s from a second before %s", total, first, boot)
	}
}

func TestPictures(t *testing.T) {
	reports := map[string]report.Report{
		"failed": failedBoot(), "parallel": parallel(),
		"instant": {Steps: []report.Step{{Name: "a", Started: boot}, {Name: "b", Started: boot}}},
	}
	glyphs := map[string]Glyphs{"blocks": Blocks, "ascii": ASCII}
	for name, rep := range reports {
		for kind, g := range glyphs {
			var out strings.Builder
			for _, width := range []int{60, 80, 120} {
				picture := Text(Rows(rep), width, g)
				checkPicture(t, picture, width)
				fmt.Fprintf(&out, "%d columns\n%s\n", width, picture)
			}
			reporttest.Golden(t, "picture-"+name+"-"+kind+".txt", out.String())
		}
	}
}

func TestPictureOfNothing(t *testing.T) {
	if got := Text(nil, 80, Blocks); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestNarrowText(t *testing.T) {
	if got, want := Text(Rows(failedBoot()), 0, Blocks), Text(Rows(failedBoot()), minWidth, Blocks); got != want {
		t.Errorf("without a width\n%swant that of %d columns\n%s", got, minWidth, want)
	}
}

func TestRowsOfOtherOrigin(t *testing.T) {
	rows := append([]Row{
		{Name: "kernel", Start: boot.Add(-6 * time.Second), End: boot.Add(-4 * time.Second), Class: ClassSystem},
		{Name: "userspace", Start: boot.Add(-4 * time.Second), End: boot.Add(5 * time.Second), Class: ClassSystem},
	}, Rows(parallel())...)
	reporttest.Golden(t, "picture-system.txt", Text(rows, 80, Blocks))
	var svg strings.Builder
	if err := SVG(&svg, "web stable: fresh in 11.0 s", nil, rows); err != nil {
		t.Fatal(err)
	}
	checkXML(t, svg.String())
	reporttest.Golden(t, "system.svg", svg.String())
}

// One row in four cells: which characters show it.
func TestBar(t *testing.T) {
	tests := []struct {
		from, to float64
		want     string
	}{
		{0, 32, "████"}, {0, 8, "█   "}, {0, 1, "▏   "}, {0, 0.2, "▏   "}, {0, 13, "█▋  "},
		{8, 16, " █  "}, {3, 16, "██  "}, {4, 16, "▐█  "}, {4, 20, "▐█▌ "}, {4, 8, "▐   "}, {5, 7, "▕   "},
		{3, 5, "▎   "}, {7.9, 8, " ▏  "}, {31.9, 32, "   ▕"}, {32, 32, "   ▕"}, {24, 32, "   █"},
	}
	for _, test := range tests {
		if got := Blocks.bar(4, test.from, test.to, false); got != test.want {
			t.Errorf("from %v to %v: %q, want %q", test.from, test.to, got, test.want)
		}
	}
	for _, test := range []struct {
		from, to float64
		want     string
	}{{0, 32, "####"}, {0, 1, "#   "}, {6, 20, "### "}, {32, 32, "   #"}} {
		if got := ASCII.bar(4, test.from, test.to, false); got != test.want {
			t.Errorf("ASCII from %v to %v: %q, want %q", test.from, test.to, got, test.want)
		}
	}
	if got := Blocks.bar(4, 12, 12, true) + ASCII.bar(4, 32, 32, true); got != " │     |" {
		t.Errorf("ticks %q", got)
	}
}

func TestSVG(t *testing.T) {
	var svg strings.Builder
	if err := SVG(&svg, "web stable 1.4.2 on i-0123456789abcdef0: failed", Notes(failedBoot()), Rows(failedBoot())); err != nil {
		t.Fatal(err)
	}
	checkXML(t, svg.String())
	reporttest.Golden(t, "failed.svg", svg.String())
}

func TestSVGOfOneClass(t *testing.T) {
	var svg strings.Builder
	if err := SVG(&svg, strings.Repeat("long ", 50), nil, []Row{{Name: "a", Start: boot, End: boot.Add(time.Second)}}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(svg.String(), ">step</text>") {
		t.Error("a legend of one colour")
	}
	if want := ">" + strings.Repeat("long ", 19) + "…</text>"; !strings.Contains(svg.String(), want) {
		t.Error("the title runs over the edge")
	}
}

// A post-mortem needs the whole error, however long it is.
func TestNotesAreNotCut(t *testing.T) {
	r := failedBoot()
	r.Error.Message = "start " + strings.Repeat("ab ", 100) + strings.Repeat("c", 300) + " end"
	lines := wrapped(Notes(r))
	for _, want := range []string{r.Error.Message, "channel stable points to 1.5.0, current is 1.4.0", "koboshi-launching: ABANDON", "10:00:00 to 10:00:"} {
		if !strings.Contains(strings.ReplaceAll(strings.Join(lines, ""), " ", ""), strings.ReplaceAll(want, " ", "")) {
			t.Errorf("%q is not in %q", want, lines)
		}
	}
	for _, line := range lines {
		if utf8.RuneCountInString(line) > svgNoteRunes {
			t.Errorf("a line of %d characters", utf8.RuneCountInString(line))
		}
	}
}

func TestSVGOfNothing(t *testing.T) {
	var svg strings.Builder
	if err := SVG(&svg, "nothing yet", nil, nil); err != nil {
		t.Fatal(err)
	}
	checkXML(t, svg.String())
	if !strings.Contains(svg.String(), ">nothing yet</text>") {
		t.Errorf("no title in\n%s", svg.String())
	}
}

func TestHostileSVG(t *testing.T) {
	evil := "</text><script>alert(1)</script>\x00\uffff&\"'\xff"
	rows := []Row{{Name: evil, Start: boot, End: boot.Add(1), Detail: evil, Class: Class(`"><script>`)}}
	var svg strings.Builder
	if err := SVG(&svg, evil, []string{evil}, rows); err != nil {
		t.Fatal(err)
	}
	checkXML(t, svg.String())
	if strings.Contains(svg.String(), "<script") {
		t.Errorf("a script got through:\n%s", svg.String())
	}
}

type brokenWriter struct{ error }

func (w brokenWriter) Write([]byte) (int, error) { return 0, w.error }

func TestSVGSaysThatWritingFailed(t *testing.T) {
	full := errors.New("no space left on device")
	if err := SVG(brokenWriter{full}, "t", nil, nil); !errors.Is(err, full) {
		t.Errorf("error %v, want %v", err, full)
	}
}

// FuzzReport reads a report and draws it: whatever it claims, the drawings
// stay within their bounds and can be printed.
func FuzzReport(f *testing.F) {
	f.Add([]byte(`{"steps":[{"name":"fetch","started":"2026-11-21T10:00:00Z","ms":1240,"bytes":63000000,"attempts":3,"error":"reset"}]}`), 80)
	f.Add([]byte(`{"steps":[{"name":"\u001b[31m","started":"0001-01-01T00:00:00Z","ms":9223372036854775807,"bytes":-1},{"started":"9999-12-31T23:59:59Z","ms":9223372036854775807},{"ms":-1}]}`), 300)
	f.Add([]byte(`{"steps":[{"name":"a","ms":9223372036854775807,"bytes":9223372036854775807,"attempts":2}]}`), 40)
	f.Fuzz(func(t *testing.T, data []byte, width int) {
		r, err := report.Parse(data)
		if err != nil {
			return
		}
		rows, width := Rows(r), min(width, 300)
		checkPicture(t, Text(rows, width, Blocks), width)
		checkPicture(t, Text(rows, width, ASCII), width)
		var svg bytes.Buffer
		if err := SVG(&svg, r.App, Notes(r), rows); err != nil {
			t.Fatal(err)
		}
		checkXML(t, svg.String())
	})
}

func checkPicture(t *testing.T, picture string, width int) {
	t.Helper()
	for line := range strings.Lines(picture) {
		line = strings.TrimSuffix(line, "\n")
		if n := utf8.RuneCountInString(line); n > max(width, minWidth) {
			t.Errorf("%d columns of %d: %q", n, width, line)
		}
		if strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsGraphic(r) }) || strings.HasSuffix(line, " ") {
			t.Errorf("unprintable or trailing space: %q", line)
		}
	}
}

func checkXML(t *testing.T, text string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("not well-formed: %v\n%s", err, text)
		}
	}
}
