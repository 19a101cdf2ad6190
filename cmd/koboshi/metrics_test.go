package main

import (
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"koboshi/agent/report"
)

func TestMetricsOfADrain(t *testing.T) {
	noticed := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	r := report.Report{App: "web", Command: "drain", Started: noticed.Add(3 * time.Second), MS: 4000}
	if m := summaryLine(r); m["drain_ms"] != nil {
		t.Errorf("a run that drains nothing has %v", m)
	}
	r.Drain = &report.Drain{Noticed: noticed, Flush: []report.Flush{
		{Outcome: "done", MS: 900},
		{Outcome: "left", MS: 2000, Left: 400, Unit: "bytes"},
		{Outcome: "lost", MS: 100, Lost: 3, Unit: "records"},
		{Outcome: "unknown", Left: 7, Unit: "chunks"},
	}}
	m := summaryLine(r)
	for name, want := range map[string]int64{
		"drain_ms": 7000, "flush_ms": 2000, "left_bytes": 400, "left_records": 7, "lost_records": 3, "unproven": 3,
	} {
		if m[name] != want {
			t.Errorf("%s is %v, want %d", name, m[name], want)
		}
	}
}

func TestMetricsOfANodeID(t *testing.T) {
	r := report.Report{Started: time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC), MS: 4000}
	if m := summaryLine(r); m["node_id_left_ms"] != nil {
		t.Errorf("without a node id there is %v", m)
	}
	for left, want := range map[time.Duration]int64{time.Hour: 3_596_000, 0: 0} {
		r.Node = &report.Node{ValidUntil: r.Started.Add(left), Failed: 2}
		if m := summaryLine(r); m["node_id_left_ms"] != want || m["failed_renewals"] != int64(2) {
			t.Errorf("%s after the start: %v left, want %d; %v failed", left, m["node_id_left_ms"], want, m["failed_renewals"])
		}
	}
}

// summaryLine is what the summary of a run has for CloudWatch.
func summaryLine(r report.Report) map[string]any {
	line := zapcore.NewMapObjectEncoder()
	for _, f := range metricsOf(r) {
		f.AddTo(line)
	}
	return line.Fields
}
