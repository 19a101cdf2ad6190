package flush

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/agent/config"
)

const flowName = "FileTailer[kinesis:logs:/var/log/web/*.log]"

// progress is a report of the Kinesis Agent about a flow; behind < 0: without
// the line that internal metrics bring.
func progress(flow string, parsed, skipped, sent, behind int) string {
	const date = "2021-01-08 00:57:16.987+0000  (x.MetricsEmitter RUNNING) com.amazon.kinesis.streaming.agent.tailing.FileTailer [INFO] "
	text := date + fmt.Sprintf("%s: Tailer Progress: Tailer has parsed %d records (%d bytes), transformed 0 records, skipped %d records, and has successfully sent %d records to destination.\n", flow, parsed, 16*parsed, skipped, sent)
	if behind >= 0 {
		text += date + fmt.Sprintf("%s: Tailer is %02f MB (%d bytes) behind.\n", flow, float64(behind)/1024/1024, behind)
	}
	return text + "2021-01-08 00:57:16.995+0000  (Agent.MetricsEmitter RUNNING) com.amazon.kinesis.streaming.agent.Agent [INFO] Agent: Progress: 492 records parsed (7872 bytes), and 492 records sent successfully to destinations. Uptime: 49740037ms\n"
}

func TestKinesisAgent(t *testing.T) {
	for _, tt := range []struct {
		name   string
		report func(n int) string // each second, from 0 on: before the stop
		want   Outcome
		left   int64
		note   string
		least  int // seconds
	}{
		{"sent", func(int) string { return progress(flowName, 9, 0, 9, 0) }, Done, 0, "", 3},
		{"some were skipped", func(int) string { return progress(flowName, 9, 2, 7, 0) }, Done, 0, "has skipped 2 records", 3},
		{"buffered", func(n int) string { return progress(flowName, 9, 0, min(n, 9), 0) }, Done, 0, "", 10},
		{"parsed is not all", func(n int) string { return progress(flowName, n, 0, n, max(0, 40-4*n)) }, Unknown, 0, "", 60},
		{"behind for a while", func(n int) string { return progress(flowName, min(n, 10), 0, min(n, 10), max(0, 40-4*n)) }, Done, 0, "", 12},
		{"retried to the end", func(int) string { return progress(flowName, 9, 0, 4, 0) }, Left, 5, "", 0},
		{"behind to the end", func(int) string { return progress(flowName, 9, 0, 9, 77) }, Left, 0, "is 77 bytes behind", 0},
		{"nothing since the stop", func(n int) string { return strings.Repeat(progress(flowName, 9, 0, 9, 0), max(0, 1-n)) }, Unknown, 0, "has not reported since", 0},
		{"one of two flows is silent", func(n int) string {
			return progress(flowName, 9, 0, 9, 0) + strings.Repeat(progress("FileTailer[fh:b:/x]", 1, 0, 1, 0), max(0, 1-n))
		}, Unknown, 0, "FileTailer[fh:b:/x] has not reported since", 0},
		{"without internal metrics", func(int) string { return progress(flowName, 9, 0, 9, -1) }, Unknown, 0, "set log.emitInternalMetrics", 0},
		{"files not begun", func(int) string {
			return strings.Replace(progress(flowName, 9, 0, 9, 0), "behind.", "behind. There are 2 file(s) newer than current file(s) being tailed.", 1)
		}, Left, 0, "behind", 0},
		{"restarted", func(n int) string { return progress(flowName, 9-min(n, 5), 0, 9-min(n, 5), 0) }, Unknown, 0, "was restarted", 0},
		{"another program's log", func(int) string { return "hello\n" }, Unknown, 0, "no progress of a tailer", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			log := filepath.Join(t.TempDir(), "agent.log")
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				add(t, log, tt.report(0))
				f := flusher(t, config.Flush{Kind: config.KinesisAgent, Log: log}, Deps{})
				f.Before(t.Context())
				every(time.Second, func(n int) { add(t, log, tt.report(n)) })
				expect(t, f.Await(t.Context()), tt.want, tt.left, 0, tt.note)
				if took := time.Since(began); took < time.Duration(tt.least)*time.Second {
					t.Errorf("after %s, want at least %d s", took, tt.least)
				}
			})
		})
	}
}

// every runs f at an interval for two minutes, with the number of the call.
func every(d time.Duration, f func(n int)) {
	for n := 1; time.Duration(n)*d < 2*time.Minute; n++ {
		after(time.Duration(n)*d, func() { f(n) })
	}
}

// fluentBitServer imitates Fluent Bit: its numbers are made every 5 s, and in
// between it answers with those from before.
type fluentBitServer struct {
	mu                               sync.Mutex
	chunks, records, errors, dropped int
	storage, metrics                 string
}

func (b *fluentBitServer) make() {
	b.storage = fmt.Sprintf(`{"storage_layer":{"chunks":{"total_chunks":%d,"mem_chunks":0,"fs_chunks":0}},"input_chunks":{}}`, b.chunks)
	b.metrics = fmt.Sprintf(`{"input":{"tail.0":{"records":%d,"bytes":9}},"filter":{},"output":{"http.0":{"proc_records":5,"proc_bytes":9,"errors":%d,"retries":0,"retries_failed":0,"dropped_records":%d}}}`, b.records, b.errors, b.dropped)
}

func (b *fluentBitServer) answer(path string) (int, string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch path {
	case "/api/v1/storage":
		return 200, b.storage
	case "/api/v1/metrics":
		return 200, b.metrics
	}
	return 404, ""
}

func TestFluentBit(t *testing.T) {
	for _, tt := range []struct {
		name  string
		tick  func(b *fluentBitServer, second int)
		want  Outcome
		left  int64
		lost  int64
		least int
	}{
		{"idle", func(*fluentBitServer, int) {}, Done, 0, 0, 10},
		// At the stop it answers with numbers from before the last lines.
		{"stale numbers", func(b *fluentBitServer, n int) {
			if n == 1 {
				b.records, b.chunks = 9, 3
			}
			if n == 14 {
				b.chunks = 0
			}
		}, Done, 0, 0, 19},
		{"more came in", func(b *fluentBitServer, n int) { b.records = 5 + min(n, 21) }, Done, 0, 0, 29},
		{"the receiver is away", func(b *fluentBitServer, _ int) { b.chunks = 4 }, Left, 4, 0, 60},
		{"retries are used up", func(b *fluentBitServer, n int) {
			b.chunks = max(0, 7-n)
			if n == 7 {
				b.dropped, b.errors = 31, 1
			}
		}, Lost, 0, 31, 0},
		{"an output that counts errors only", func(b *fluentBitServer, n int) { b.errors = min(n, 2) }, Lost, 0, 2, 0},
		{"restarted", func(b *fluentBitServer, n int) { b.records = 5 - min(n, 5) }, Unknown, 0, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				b := &fluentBitServer{records: 5, errors: 0}
				b.make()
				f := flusher(t, config.Flush{Kind: config.FluentBit, URL: "http://x/"}, Deps{Transport: web(b.answer)})
				f.Before(t.Context())
				every(time.Second, func(n int) {
					b.mu.Lock()
					defer b.mu.Unlock()
					tt.tick(b, n)
					if n%5 == 4 {
						b.make()
					}
				})
				expect(t, f.Await(t.Context()), tt.want, tt.left, tt.lost, "")
				if took := time.Since(began); took < time.Duration(tt.least)*time.Second {
					t.Errorf("after %s, want at least %d s", took, tt.least)
				}
			})
		})
	}
	for _, body := range []string{"", "{}", `{"input":{}}`, `{"input":{"a":{}},"output":{"b":{}}}`, `{"input":{"a":{"records":"x"}}}`} {
		if _, err := parseFluentBit([]byte(body)); err == nil {
			t.Errorf("%s was read", body)
		}
		if _, err := parseChunks([]byte(body)); err == nil {
			t.Errorf("%s was read", body)
		}
	}
}

func TestOTelCollector(t *testing.T) {
	type numbers struct{ queue, flying, accepted, sent, failed, refused int }
	for _, tt := range []struct {
		name  string
		at    func(look int) numbers // from 0 on: before the stop
		want  Outcome
		left  int64
		lost  int64
		note  string
		least time.Duration
	}{
		{"sent", func(int) numbers { return numbers{accepted: 9, sent: 9} }, Done, 0, 0, "", time.Second},
		{"nothing was ever received", func(int) numbers { return numbers{} }, Done, 0, 0, "", time.Second},
		{"queued", func(n int) numbers { return numbers{queue: max(0, 9-n), accepted: 9, sent: min(n, 9)} }, Done, 0, 0, "", 5 * time.Second},
		{"in flight", func(n int) numbers { return numbers{flying: max(0, 9-n), accepted: 9, sent: 9} }, Done, 0, 0, "", 5 * time.Second},
		{"more comes in", func(n int) numbers { return numbers{accepted: min(n, 9), sent: min(n, 9)} }, Done, 0, 0, "", 5 * time.Second},
		{"refused to the end", func(int) numbers { return numbers{queue: 1, flying: 1, accepted: 9, sent: 4} }, Left, 5, 0, "", 0},
		{"failed long ago", func(int) numbers { return numbers{accepted: 9, sent: 4, failed: 5, refused: 3} }, Done, 0, 0, "", 0},
		{"failed since the stop", func(n int) numbers { return numbers{accepted: 9, sent: 4, failed: min(n, 5)} }, Lost, 0, 5, "", 0},
		{"not enqueued since the stop", func(n int) numbers { return numbers{accepted: 9, sent: 9, refused: min(n, 2)} }, Lost, 0, 2, "", 0},
		{"filtered", func(int) numbers { return numbers{accepted: 9, sent: 12} }, Unknown, 0, 0, "more records were sent", 0},
		{"restarted", func(n int) numbers { return numbers{accepted: max(0, 9-n), sent: max(0, 9-n)} }, Unknown, 0, 0, "was restarted", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began, look := time.Now(), -1
				f := flusher(t, config.Flush{Kind: config.OTelCollector, URL: "http://x/metrics"}, Deps{Transport: web(func(string) (int, string) {
					look++
					n := tt.at(look)
					text := fmt.Sprintf("otelcol_exporter_queue_size{exporter=\"x\"} %d\notelcol_process_uptime %d\n", n.queue, look)
					if n.accepted > 0 {
						text += fmt.Sprintf("otelcol_receiver_accepted_log_records_total{receiver=\"x\"} %d\notelcol_exporter_sent_log_records_total %d\notelcol_exporter_in_flight_requests %d\n", n.accepted, n.sent, n.flying)
						text += fmt.Sprintf("otelcol_exporter_send_failed_log_records %d\notelcol_exporter_enqueue_failed_log_records %d\n", n.failed, n.refused)
					}
					return 200, text
				})})
				f.Before(t.Context())
				expect(t, f.Await(t.Context()), tt.want, tt.left, tt.lost, tt.note)
				if took := time.Since(began); took < tt.least {
					t.Errorf("after %s, want at least %s", took, tt.least)
				}
			})
		})
	}
	if _, err := judgeOTel([]series{{name: "up", value: 1}}); err == nil {
		t.Error("metrics of another program were taken")
	}
}
