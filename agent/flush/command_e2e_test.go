//go:build e2e

package flush

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"koboshi/agent/config"
)

// lineSink takes lines over TCP.
type lineSink struct {
	mu    sync.Mutex
	taken strings.Builder
}

func (s *lineSink) listen(t *testing.T, address string) {
	t.Helper()
	listen, err := net.Listen("tcp", address)
	must(t, err)
	t.Cleanup(func() { _ = listen.Close() })
	go func() {
		for {
			conn, err := listen.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				for in := bufio.NewScanner(conn); in.Scan(); {
					s.mu.Lock()
					s.taken.WriteString(in.Text() + "\n")
					s.mu.Unlock()
				}
			}()
		}
	}()
}

func (s *lineSink) received() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken.String()
}

// idle is the script of the documentation: nothing is queued, and twice the same.
const idle = `#!/bin/sh
look() { syslog-ng-ctl stats | awk -F';' '$5 == "queued" && /^dst/ { queued += $6 } $3 == "received" { taken = $6 } END { print queued + 0, taken }'; }
first=$(look) && sleep 1 && second=$(look) || exit 1
echo "queued and received: $second"
case $second in "" | " "*) exit 1 ;; esac
test "$first" = "$second" && test "${second% *}" = 0 || exit 75
`

// syslog-ng is asked by a command.
func TestE2ESyslogNG(t *testing.T) {
	dir := t.TempDir()
	address, host, port := address(t)
	put(t, filepath.Join(dir, "conf"), fmt.Sprintf(`@version: 3.38
options { time-reopen(1); };
source s { file("%[1]s/app.log" follow-freq(0.2) flags(no-parse)); };
destination d { network("%[2]s" port(%[3]s) template("$MSG\n")); };
log { source(s); destination(d); };
`, dir, host, port))
	app, sink := &writer{t: t, path: filepath.Join(dir, "app.log")}, &lineSink{}
	add(t, app.path, "")
	modules, err := filepath.Abs("../../.build/shippers/usr/lib/syslog-ng/3.38")
	must(t, err)
	cmd := unpacked(t, dir, "usr/sbin/syslog-ng", "-F", "--no-caps", "-f", "conf", "-R", "persist", "-c", "control", "-p", "pid", "--module-path", modules)
	running(t, cmd)
	until(t, "syslog-ng can be asked", func() bool { _, err := os.Stat(filepath.Join(dir, "control")); return err == nil })
	script := put(t, filepath.Join(dir, "idle"), strings.ReplaceAll(idle, "syslog-ng-ctl stats", filepath.Join(filepath.Dir(cmd.Path), "syslog-ng-ctl")+" stats -c "+dir+"/control"))
	must(t, os.Chmod(script, 0o755))
	settings := config.Flush{Kind: config.FlushCommand, Command: []string{script}, Timeout: config.Duration(5 * time.Second)}

	app.write(time.Second, false)
	expect(t, proven(t, flusher(t, settings, Deps{Command: runner(cmd)})), Left, 0, 0, "asks to be run again")
	sink.listen(t, address)
	settings.Timeout = config.Duration(time.Minute)
	expect(t, proven(t, flusher(t, settings, Deps{Command: runner(cmd)})), Done, 0, 0, "")
	app.delivered(sink.received)
}

// systemd-journal-upload is the command itself.
func TestE2EJournalUpload(t *testing.T) {
	dir := t.TempDir()
	app := &writer{t: t, n: 400}
	var export strings.Builder
	for i := range app.n {
		fmt.Fprintf(&export, "__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n_BOOT_ID=4531fd22ec84429e85ae888b12fadb91\nMESSAGE=line %d of the app\n\n", 1404101101501873+i, 1753961140951+i, i+1)
	}
	journal := filepath.Join(dir, "app.journal")
	fill := unpacked(t, dir, "lib/systemd/systemd-journal-remote", "--split-mode=none", "-o", journal, put(t, filepath.Join(dir, "export"), export.String()))
	if output, err := fill.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}

	var mu sync.Mutex
	var taken strings.Builder
	refuse := true
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		if refuse {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		for line := range strings.Lines(string(body)) {
			taken.WriteString(strings.TrimPrefix(line, "MESSAGE="))
		}
		w.WriteHeader(http.StatusCreated)
	}))
	t.Cleanup(server.Close)

	upload := unpacked(t, dir, "lib/systemd/systemd-journal-upload", "--url="+server.URL, "--file="+journal, "--follow=no", "--save-state="+filepath.Join(dir, "state"))
	settings := config.Flush{Kind: config.FlushCommand, Command: upload.Args}
	expect(t, proven(t, flusher(t, settings, Deps{Command: runner(upload)})), Unknown, 0, 0, "exited with status 1")
	mu.Lock()
	refuse = false
	mu.Unlock()
	expect(t, proven(t, flusher(t, settings, Deps{Command: runner(upload)})), Done, 0, 0, "")
	app.delivered(func() string { mu.Lock(); defer mu.Unlock(); return taken.String() })
}
