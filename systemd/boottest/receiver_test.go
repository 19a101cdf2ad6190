//go:build boottest

package boottest

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// receiver is the other side of the log shippers, a machine of its own: rsyslog with
// imrelp. What it has acknowledged is in its file, with the time: without a queue.
type receiver struct {
	*testing.T
	root   string
	cmd    *exec.Cmd
	output bytes.Buffer
}

const receiverConf = `global(workDirectory="/var/spool/rsyslog")
main_queue(queue.type="Direct")
module(load="imrelp")
template(name="timed" type="string" string="%timegenerated:::date-rfc3339% %msg%\n")
input(type="imrelp" port="2514")
action(type="omfile" file="/var/log/received" template="timed")
`

func (l *lab) receiver() *receiver {
	l.Helper()
	dir := filepath.Join(l.dir, "receiver")
	must(l.T, os.Mkdir(dir, 0o755))
	r := &receiver{T: l.T, root: overlay(l.T, dir, *rootFS)}
	files{"/etc/receiver.conf": receiverConf, "/var/log/received": "\n"}.write(l.T, r.root)
	l.Cleanup(func() {
		r.away()
		if l.Failed() {
			l.Log("receiver: ", r.output.String())
		}
	})
	return r
}

func (r *receiver) there() {
	r.Helper()
	r.cmd = exec.Command("chroot", r.root, "/usr/sbin/rsyslogd", "-n", "-iNONE", "-f", "/etc/receiver.conf")
	r.cmd.Stdout, r.cmd.Stderr = &r.output, &r.output
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	must(r.T, r.cmd.Start())
}

// away is a receiver that is gone without a word.
func (r *receiver) away() {
	if r.cmd != nil {
		_ = r.cmd.Process.Kill()
		_ = r.cmd.Wait() // it was killed
		r.cmd = nil
	}
}

// arrivals are the lines of the app by the time of their first arrival, and how many
// came once more.
func (r *receiver) arrivals() (first map[string]time.Time, again int) {
	r.Helper()
	first = map[string]time.Time{}
	for line := range strings.Lines(text(r.T, r.root, "var/log/received")) {
		at, message, _ := strings.Cut(line, " ")
		name := lineName(message)
		arrived, err := time.Parse(time.RFC3339Nano, at)
		if name == "" || err != nil {
			continue // of the machine's other logs, or torn
		}
		if _, known := first[name]; known {
			again++
			continue
		}
		first[name] = arrived
	}
	return first, again
}

func (r *receiver) has() int {
	first, _ := r.arrivals()
	return len(first)
}

// written are the lines that are in the app's logs, rotated ones included, and the time
// of the last one.
func (l *lab) written() (lines map[string]bool, last time.Time) {
	l.Helper()
	found, err := filepath.Glob(filepath.Join(l.root, "var/log/web/*.log*"))
	must(l.T, err)
	lines = map[string]bool{}
	for _, file := range found {
		info, err := os.Stat(file)
		must(l.T, err)
		if info.ModTime().After(last) {
			last = info.ModTime()
		}
		for line := range strings.Lines(text(l.T, file)) {
			lines[lineName(line)] = true
		}
	}
	return lines, last
}

// lineName is the part of a line of the app that no other line has.
func lineName(text string) string {
	name, _, found := strings.Cut(strings.TrimSpace(text), ", with ")
	if !found || !strings.HasPrefix(name, "line ") {
		return ""
	}
	return name
}

func text(t *testing.T, path ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(path...))
	must(t, err)
	return string(data)
}

// delivered expects every line that was written to have arrived by then.
func (d *drained) delivered(by time.Time) (written, again int, last time.Time) {
	d.Helper()
	lines, last := d.written()
	first, again := d.receiver.arrivals()
	late := 0
	for line := range maps.Keys(lines) {
		if at, arrived := first[line]; !arrived || at.After(by) {
			late++
		}
	}
	if late > 0 || len(lines) < linesPerSecond {
		d.Errorf("%d of %d lines had not arrived by %s", late, len(lines), by)
	}
	return len(lines), again, last
}
