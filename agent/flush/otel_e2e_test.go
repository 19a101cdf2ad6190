//go:build e2e

package flush

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"koboshi/agent/config"
)

// otlp is a receiver that can refuse.
type otlp struct {
	*httptest.Server
	status atomic.Int32 // of its answers
	mu     sync.Mutex
	taken  strings.Builder
}

func newOTLP(t *testing.T) *otlp {
	o := &otlp{}
	o.status.Store(http.StatusOK)
	o.Server = httptest.NewServer(o)
	t.Cleanup(o.Close)
	return o
}

func (o *otlp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var logs struct {
		ResourceLogs []struct {
			ScopeLogs []struct {
				LogRecords []struct {
					Body struct {
						StringValue string `json:"stringValue"`
					} `json:"body"`
				} `json:"logRecords"`
			} `json:"scopeLogs"`
		} `json:"resourceLogs"`
	}
	status := int(o.status.Load())
	if err := json.NewDecoder(r.Body).Decode(&logs); err != nil {
		status = http.StatusBadRequest
	}
	if status != http.StatusOK {
		w.WriteHeader(status)
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, resource := range logs.ResourceLogs {
		for _, scope := range resource.ScopeLogs {
			for _, record := range scope.LogRecords {
				o.taken.WriteString(record.Body.StringValue + "\n")
			}
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte("{}"))
}

func (o *otlp) received() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.taken.String()
}

// collect starts a collector that sends what an app writes.
func collect(t *testing.T, to *otlp) (app *writer, settings config.Flush) {
	t.Helper()
	program, err := filepath.Abs("../../.build/otelcol")
	must(t, err)
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("%v: make .build/otelcol builds it", err)
	}
	dir := t.TempDir()
	address, host, port := address(t)
	put(t, filepath.Join(dir, "config.yaml"), fmt.Sprintf(`
receivers:
  file_log: {include: [%[1]s/app.log*], start_at: beginning, storage: file_storage}
exporters:
  otlp_http: {endpoint: %[2]s, encoding: json, compression: none, retry_on_failure: {initial_interval: 200ms, max_interval: 1s}}
extensions:
  file_storage: {directory: %[1]s/storage, create_directory: true}
service:
  extensions: [file_storage]
  pipelines:
    logs: {receivers: [file_log], exporters: [otlp_http]}
  telemetry:
    metrics:
      level: detailed
      readers: [{pull: {exporter: {prometheus: {host: %[3]s, port: %[4]s}}}}]
`, dir, to.URL, host, port))
	running(t, exec.Command(program, "--config", filepath.Join(dir, "config.yaml")))
	until(t, "the collector has metrics", answers(address))
	return &writer{t: t, path: filepath.Join(dir, "app.log")}, config.Flush{
		Kind: config.OTelCollector, URL: "http://" + address + "/metrics", Files: []string{filepath.Join(dir, "app.log*")},
	}
}

func TestE2EOTelCollector(t *testing.T) {
	to := newOTLP(t)
	app, settings := collect(t, to)
	f := flusher(t, settings, Deps{})
	app.write(2*time.Second, true)
	f.Before(t.Context())
	app.write(2*time.Second, false)
	expect(t, proven(t, f), Done, 0, 0, "")
	app.delivered(to.received)
}

func TestE2EOTelCollectorRefused(t *testing.T) {
	to := newOTLP(t)
	app, settings := collect(t, to)
	f := flusher(t, settings, Deps{})
	app.write(time.Second, false)
	f.Before(t.Context())
	to.status.Store(http.StatusServiceUnavailable)
	app.write(time.Second, false)
	settings.Timeout = config.Duration(4 * time.Second)
	if got := proven(t, flusher(t, settings, Deps{})); got.Outcome != Left || got.Left == 0 {
		t.Errorf("answer %+v", got)
	}
	time.AfterFunc(5*time.Second, func() { to.status.Store(http.StatusOK) })
	expect(t, proven(t, f), Done, 0, 0, "")
	app.delivered(to.received)
}

func TestE2EOTelCollectorDrops(t *testing.T) {
	to := newOTLP(t)
	app, settings := collect(t, to)
	f := flusher(t, settings, Deps{})
	app.write(time.Second, false)
	until(t, "all is delivered", func() bool { return strings.Contains(to.received(), fmt.Sprintf("line %d ", app.n)) })
	f.Before(t.Context())
	to.status.Store(http.StatusBadRequest) // is not tried again
	before := app.n
	app.write(time.Second, false)
	expect(t, proven(t, f), Lost, 0, int64(app.n-before), "")
}
