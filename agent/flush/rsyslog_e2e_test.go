//go:build e2e

package flush

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"koboshi/agent/config"
)

// pair is an rsyslog that sends what an app writes, and one that receives it.
type pair struct {
	t          *testing.T
	dir        string
	host, port string // of the receiver
}

func newPair(t *testing.T) pair {
	_, host, port := address(t)
	p := pair{t, t.TempDir(), host, port}
	for _, dir := range []string{"work", "far", "log"} {
		must(t, os.Mkdir(filepath.Join(p.dir, dir), 0o755))
	}
	return p
}

func (p pair) rsyslogd(name, conf string) (stop func()) {
	p.t.Helper()
	modules, err := filepath.Abs("../../.build/shippers/usr/lib/x86_64-linux-gnu/rsyslog")
	must(p.t, err)
	put(p.t, filepath.Join(p.dir, name), conf)
	return running(p.t, unpacked(p.t, p.dir, "usr/sbin/rsyslogd", "-n", "-iNONE", "-M", modules, "-f", name))
}

func (p pair) receive() (stop func()) {
	p.t.Helper()
	stop = p.rsyslogd("far.conf", fmt.Sprintf(`global(workDirectory="%[1]s/far")
module(load="imrelp")
template(name="raw" type="string" string="%%msg%%\n")
input(type="imrelp" address="%[2]s" port="%[3]s")
action(type="omfile" file="%[1]s/received" template="raw")
`, p.dir, p.host, p.port))
	until(p.t, "imrelp listens", answers(net.JoinHostPort(p.host, p.port)))
	return stop
}

// send takes what each line of the documentation takes; retries is that of the
// action.
func (p pair) send(retries int) {
	p.t.Helper()
	p.rsyslogd("near.conf", fmt.Sprintf(`global(workDirectory="%[1]s/work")
module(load="imfile")
module(load="omrelp")
module(load="impstats" format="json" interval="1" log.file="%[1]s/stats.json" log.syslog="off")
main_queue(queue.type="LinkedList" queue.size="100000" queue.filename="main" queue.saveOnShutdown="on")
input(type="imfile" file="%[1]s/log/*.log" tag="web" persistStateAfterSubmission="on")
action(type="omrelp" target="%[2]s" port="%[3]s" windowSize="1000" action.resumeRetryCount="%[4]d" action.resumeInterval="1")
`, p.dir, p.host, p.port, retries))
	until(p.t, "impstats reports", func() bool { return contents(filepath.Join(p.dir, "stats.json"))() != "" })
}

func (p pair) flusher(timeout time.Duration) *Flusher {
	return flusher(p.t, config.Flush{
		Kind: config.Rsyslog, Files: []string{filepath.Join(p.dir, "log/*.log*")}, State: filepath.Join(p.dir, "work"),
		Stats: filepath.Join(p.dir, "stats.json"), Timeout: config.Duration(timeout),
	}, Deps{})
}

func (p pair) app() *writer { return &writer{t: p.t, path: filepath.Join(p.dir, "log/app.log")} }

func (p pair) received() string { return contents(filepath.Join(p.dir, "received"))() }

func TestE2ERsyslog(t *testing.T) {
	p := newPair(t)
	p.receive()
	p.send(-1)
	app, f := p.app(), p.flusher(time.Minute)
	app.write(2*time.Second, true)
	f.Before(t.Context())
	app.write(2*time.Second, false)
	expect(t, proven(t, f), Done, 0, 0, "")
	app.delivered(p.received)
}

func TestE2ERsyslogReceiverAway(t *testing.T) {
	p := newPair(t)
	stop := p.receive()
	p.send(-1)
	app := p.app()
	app.write(time.Second, false)
	until(t, "all is delivered", func() bool { return p.flusher(time.Minute).Look(t.Context()).Outcome == Done })
	stop()
	f := p.flusher(5 * time.Second)
	f.Before(t.Context())
	app.write(time.Second, true)
	add(t, app.path, "no newline")
	if got := proven(t, f); got.Outcome != Left || got.Left == 0 || got.Unit != Records {
		t.Errorf("answer %+v", got)
	}
	p.receive()
	again := p.flusher(time.Minute)
	expect(t, proven(t, again), Done, 0, 0, "does not send its last 10 bytes")
	app.delivered(p.received)
}

// An action that does not try again drops what the receiver did not take.
func TestE2ERsyslogDrops(t *testing.T) {
	p := newPair(t)
	stop := p.receive()
	p.send(0)
	app := p.app()
	app.write(time.Second, false)
	until(t, "all is delivered", func() bool { return p.flusher(time.Minute).Look(t.Context()).Outcome == Done })
	stop()
	f := p.flusher(10 * time.Second)
	f.Before(t.Context())
	app.write(time.Second, false)
	if got := proven(t, f); got.Outcome == Done {
		t.Errorf("answer %+v", got)
		t.Log(contents(filepath.Join(p.dir, "stats.json"))())
	}
}
