package health

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrUnseen means that the process that listens on an address cannot be seen
// from here.
var ErrUnseen = errors.New("cannot see which process listens")

// listener is the Process of an app that a restart command started.
type listener struct {
	proc  proc
	addr  string
	since time.Time // the command began
	seen  holder    // the first that was young enough
	note  string    // why the last look saw no process
}

// Gone is an error while an older process listens. The process is gone when
// another one listens in its place, on a socket of its own.
func (l *listener) Gone(context.Context) (why string, err error) {
	now, err := l.proc.listener(l.addr)
	switch {
	case errors.Is(err, ErrUnseen) && l.seen.pid == 0:
		l.note = err.Error() + ": the process that answers may be older than the restart"
		return "", nil
	case err != nil:
		return "", err
	case now.start.Add(tickLength).Before(l.since):
		return "", fmt.Errorf("pid %d, which listens on %s, started %v before the restart",
			now.pid, l.addr, l.since.Sub(now.start).Round(tickLength))
	case l.seen.pid == 0:
		l.seen, l.note = now, ""
	case now.inode != l.seen.inode:
		return fmt.Sprintf("pid %d listened on %s, and now pid %d does on a socket of its own", l.seen.pid, l.addr, now.pid), nil
	}
	return "", nil
}
