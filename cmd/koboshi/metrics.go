package main

import (
	"time"

	"go.uber.org/zap"

	"koboshi/agent/flush"
	"koboshi/agent/report"
)

// namespace is where CloudWatch shows the metrics of runs.
const namespace = "koboshi"

// metric is a number of a run, for CloudWatch.
type metric struct {
	Name  string
	Unit  string
	value int64
}

// metricsOf are the fields that make the summary line of a run a metric in
// CloudWatch's embedded metric format: where the log is sent to CloudWatch Logs, the
// metrics need no other call.
//
// Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
func metricsOf(r report.Report) []zap.Field {
	type directive struct {
		Namespace  string
		Dimensions [][]string
		Metrics    []metric
	}
	type metadata struct {
		Timestamp         int64 // milliseconds since 1970
		CloudWatchMetrics []directive
	}
	end := r.Started.Add(time.Duration(r.MS) * time.Millisecond)
	counted := append([]metric{{"fetched_bytes", "Bytes", fetchedBy(r)}, {"failed", "Count", failures(r)}}, append(drainMetrics(r, end), nodeMetrics(r, end)...)...)
	fields := []zap.Field{
		zap.Any("_aws", metadata{end.UnixMilli(), []directive{{
			Namespace:  namespace,
			Dimensions: [][]string{{"app", "command"}, {"app", "command", "verdict"}},
			Metrics:    append([]metric{{"ms", "Milliseconds", r.MS}}, counted...), // the line has its value
		}}}),
		zap.String("app", r.App),
		zap.String("command", r.Command),
	}
	for _, m := range counted {
		fields = append(fields, zap.Int64(m.Name, m.value))
	}
	return fields
}

// drainMetrics are the numbers of a drain: how long it took from the notice, and for
// how long its logs were waited for; what was left or lost, and how many log shippers
// have not proven that nothing was.
func drainMetrics(r report.Report, end time.Time) []metric {
	if r.Drain == nil {
		return nil
	}
	var longest, bytes, records, lost, unproven int64
	for _, f := range r.Drain.Flush {
		longest, lost = max(longest, f.MS), lost+f.Lost
		if f.Unit == flush.Bytes {
			bytes += f.Left
		} else {
			records += f.Left
		}
		if f.Outcome != string(flush.Done) {
			unproven++
		}
	}
	return []metric{
		{"drain_ms", "Milliseconds", max(0, end.Sub(r.Drain.Noticed).Milliseconds())},
		{"flush_ms", "Milliseconds", longest},
		{"left_bytes", "Bytes", bytes},
		{"left_records", "Count", records},
		{"lost_records", "Count", lost},
		{"unproven", "Count", unproven},
	}
}

// nodeMetrics are the numbers of the node id: for how long the app may use it, unless it is
// renewed, and how many renewals in a row have failed.
func nodeMetrics(r report.Report, end time.Time) []metric {
	if r.Node == nil {
		return nil
	}
	return []metric{
		{"node_id_left_ms", "Milliseconds", max(0, r.Node.ValidUntil.Sub(end).Milliseconds())},
		{"failed_renewals", "Count", int64(r.Node.Failed)},
	}
}

func fetchedBy(r report.Report) (n int64) {
	for _, step := range r.Steps {
		n += step.Bytes
	}
	return n
}

func failures(r report.Report) int64 {
	if r.Verdict == report.Failed {
		return 1
	}
	return 0
}
