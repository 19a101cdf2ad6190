package flush

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
)

// kinesis reads the log of the Kinesis Agent, which reports each flow at an
// interval: how many records it has parsed, skipped and sent, and how many bytes it
// is behind. Its database of checkpoints proves nothing: buffers are sent in
// parallel, and a later one moves the offset past one that is still being retried.
type kinesis struct {
	log     *tail
	flows   map[string]*flow
	reports interval // of the agent as a whole
}

// flow is what was reported of one.
type flow struct {
	parsed, skipped, sent int64
	behind                int64 // bytes, and files that were not begun; -1: never reported
	caughtUp              bool  // 0 behind was reported, and nothing else since
	proofs                int64 // how often all was sent when it had caught up
}

// begin lets only what is reported from now on prove anything.
func (k *kinesis) begin() {
	for _, f := range k.flows {
		f.caughtUp, f.proofs = false, 0
	}
}

func (k *kinesis) look(context.Context, []*file) (sight, error) {
	lines, err := k.log.lines()
	if err != nil {
		return sight{}, err
	}
	for _, line := range lines {
		k.read(line)
	}
	s := sight{unit: Records, made: math.MaxInt64, slow: k.reports.advice("log.statusReportingPeriodSeconds to 1")}
	if len(k.flows) == 0 {
		s.pending = "no progress of a tailer in " + k.log.path
	}
	for _, name := range slices.Sorted(maps.Keys(k.flows)) {
		k.flows[name].judge(name, &s)
	}
	return s, nil
}

// read takes a line of the log. In each report the progress comes first.
func (k *kinesis) read(line []byte) {
	if bytes.Contains(line, []byte(" Agent: Progress: ")) {
		k.reports.take("2006-01-02 15:04:05", line)
	}
	name, report, ok := parseTailer(line)
	if !ok {
		return
	}
	if k.flows == nil {
		k.flows = map[string]*flow{}
	}
	f := k.flows[name]
	if f == nil {
		f = &flow{behind: -1}
		k.flows[name] = f
	}
	if report.behind >= 0 {
		f.behind, f.caughtUp = report.behind, report.behind == 0
		if !f.caughtUp {
			f.proofs = 0
		}
		return
	}
	f.parsed, f.skipped, f.sent = report.parsed, report.skipped, report.sent
	if f.caughtUp && f.unsent() == 0 {
		f.proofs++
	}
}

func (f *flow) unsent() int64 { return f.parsed - f.skipped - f.sent }

// judge adds what is known of a flow.
func (f *flow) judge(name string, s *sight) {
	s.made = min(s.made, f.proofs)
	s.left += max(0, f.unsent())
	s.inputs = append(s.inputs, f.parsed, f.skipped, f.sent)
	s.growing = append(s.growing, f.parsed, f.sent)
	if f.skipped > 0 {
		s.note = join(s.note, fmt.Sprintf("%s has skipped %d records", name, f.skipped))
	}
	switch {
	case f.behind < 0:
		s.pending = join(s.pending, name+" does not report how far it is behind: set log.emitInternalMetrics to true")
	case f.behind > 0:
		s.more, s.pending = true, join(s.pending, fmt.Sprintf("%s is %d bytes behind", name, f.behind))
	case f.proofs == 0:
		s.unconfirmed = join(s.unconfirmed, name+" has not reported since")
	}
}

var (
	tailerProgress = regexp.MustCompile(`\[INFO\] (.{1,300}): Tailer Progress: Tailer has parsed (\d+) records \(\d+ bytes\), transformed \d+ records, skipped (\d+) records, and has successfully sent (\d+) records to destination\.`)
	tailerBehind   = regexp.MustCompile(`\[(?:INFO|WARN|DEBUG)\] (.{1,300}): Tailer is [0-9.]+ MB \((\d+) bytes\) behind\.(?: There are (\d+) file\(s\) newer)?`)
)

// parseTailer reads a line about a flow: its progress, with behind -1, or how far
// it is behind.
func parseTailer(line []byte) (name string, report flow, ok bool) {
	if m := tailerProgress.FindSubmatch(line); m != nil {
		report = flow{behind: -1}
		ok = number(m[2], &report.parsed) && number(m[3], &report.skipped) && number(m[4], &report.sent)
		return string(m[1]), report, ok
	}
	m := tailerBehind.FindSubmatch(line)
	if m == nil {
		return "", flow{}, false
	}
	var files int64
	ok = number(m[2], &report.behind) && (len(m[3]) == 0 || number(m[3], &files))
	report.behind = max(report.behind, files)
	return string(m[1]), report, ok
}

func number(text []byte, n *int64) bool {
	parsed, err := strconv.ParseInt(string(text), 10, 64)
	*n = parsed
	return err == nil
}
