//go:build boottest

package boottest

import (
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// load is a generator of requests to the app.
type load struct {
	*container
	in   io.Writer
	out  *json.Decoder
	seen map[string]int // the answers that were counted when await last returned
}

// tally is the outcome of the requests so far, as testdata/load prints it.
type tally struct {
	Asked   int
	Answers map[string]int
	Failed  []string
	Slowest time.Duration
	Broke   time.Time
}

func (c *container) load(clients ...string) *load {
	c.Helper()
	cmd := exec.CommandContext(c.Context(), built.path("load"), append([]string{"http://127.0.0.1:8080/"}, clients...)...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	in, err := cmd.StdinPipe()
	must(c.T, err)
	out, err := cmd.StdoutPipe()
	must(c.T, err)
	must(c.T, cmd.Start())
	c.Cleanup(func() { _ = cmd.Wait() }) // its context has ended
	return &load{container: c, in: in, out: json.NewDecoder(out)}
}

func (l *load) now() (t tally) {
	l.Helper()
	_, err := l.in.Write([]byte("\n"))
	must(l.T, err)
	must(l.T, l.out.Decode(&t))
	return t
}

// minAnswers is how many answers of a version to wait for before the next version.
const minAnswers = 200

// await returns when a version has answered n times since the last call.
func (l *load) await(version string) {
	l.Helper()
	l.awaitAnswer(version + " on " + l.instance.ID())
}

func (l *load) awaitAnswer(answer string) {
	l.Helper()
	var got tally
	l.until(settleLimit, answer+" is answered", func() bool {
		got = l.now()
		return got.Answers[answer]-l.seen[answer] >= minAnswers
	})
	l.seen = got.Answers
}
