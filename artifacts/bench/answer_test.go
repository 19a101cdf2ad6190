//go:build bench

package bench

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

const (
	askEvery  = 5 * time.Millisecond
	askFor    = time.Minute
	askWithin = 10 * time.Second // one answer
)

// answered measures until an app answers that a command starts, and ends the app.
func (l *lab) answered(start func() sample) sample {
	l.Helper()
	type answer struct {
		at  time.Time
		pid int
		err error
	}
	answers, over := make(chan answer, 1), make(chan struct{})
	go func() {
		at, pid, err := l.ask(over)
		answers <- answer{at, pid, err}
	}()
	s := start()
	if s.err != nil {
		close(over)
	}
	got := <-answers
	if got.pid != 0 {
		got.err = errors.Join(got.err, end(got.pid))
	}
	s.answered = got.at.Sub(s.began)
	s.err = errors.Join(s.err, got.err)
	return s
}

// ask asks until there is an answer, which is the pid of the app.
func (l *lab) ask(over <-chan struct{}) (at time.Time, pid int, err error) {
	client := &http.Client{Timeout: askWithin, Transport: &http.Transport{DisableKeepAlives: true}}
	tick, late := time.NewTicker(askEvery), time.NewTimer(askFor)
	defer tick.Stop()
	defer late.Stop()
	for {
		response, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/", l.port))
		if err == nil {
			at = time.Now()
			text, err := io.ReadAll(response.Body)
			if err = errors.Join(err, response.Body.Close()); err != nil {
				return at, 0, err
			}
			pid, err = strconv.Atoi(string(text))
			return at, pid, err
		}
		select {
		case <-tick.C:
		case <-over:
			return at, 0, err
		case <-late.C:
			return at, 0, err
		}
	}
}

// end kills a process and waits until it uses nothing any more.
func end(pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }() // only watched
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil {
		return err
	}
	for {
		_, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 10_000)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// freePort is one of 127.0.0.1 that is not used.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close() //nolint:forcetypeassert // a TCP listener has no other
}
