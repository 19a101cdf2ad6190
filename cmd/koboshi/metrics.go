package main

import (
	"time"

	"go.uber.org/zap"

	"koboshi/agent/report"
)

// namespace is where CloudWatch shows the metrics of runs.
const namespace = "koboshi"

// metricsOf are the fields that make the summary line of a run a metric in
// CloudWatch's embedded metric format: where the log is sent to CloudWatch Logs, the
// metrics need no other call.
//
// Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
func metricsOf(r report.Report) []zap.Field {
	type metric struct {
		Name string
		Unit string
	}
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
	return []zap.Field{
		zap.Any("_aws", metadata{end.UnixMilli(), []directive{{
			Namespace:  namespace,
			Dimensions: [][]string{{"app", "command"}, {"app", "command", "verdict"}},
			Metrics:    []metric{{"ms", "Milliseconds"}, {"fetched_bytes", "Bytes"}, {"failed", "Count"}},
		}}}),
		zap.String("app", r.App),
		zap.String("command", r.Command),
		zap.Int64("fetched_bytes", fetchedBy(r)),
		zap.Int("failed", failures(r)),
	}
}

func fetchedBy(r report.Report) (n int64) {
	for _, step := range r.Steps {
		n += step.Bytes
	}
	return n
}

func failures(r report.Report) int {
	if r.Verdict == report.Failed {
		return 1
	}
	return 0
}
