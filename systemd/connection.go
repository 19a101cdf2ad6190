package systemd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	sdbus "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"

	"koboshi/artifacts/pace"
)

// answerLimit is how long calls to systemd are repeated while there is no working
// connection. A re-execution of systemd takes less than a second.
const answerLimit = 30 * time.Second

// noAnswer are D-Bus errors of the bus, in place of an answer of systemd, which is
// just re-executing itself or connecting to a new bus.
var noAnswer = []string{
	"org.freedesktop.DBus.Error.Disconnected",
	"org.freedesktop.DBus.Error.NameHasNoOwner",
	"org.freedesktop.DBus.Error.NoReply",
	"org.freedesktop.DBus.Error.ServiceUnknown",
	"org.freedesktop.DBus.Error.TimedOut",
	"org.freedesktop.DBus.Error.Timeout",
}

// Manager talks to PID 1. A connection that is lost, because systemd was
// re-executed or the bus was restarted, is made again; calls that may be repeated
// are repeated, and how a job ended is read from its unit. It is safe for concurrent
// use.
type Manager struct {
	dial func(context.Context) (*sdbus.Conn, error)

	mu     sync.Mutex // held while a connection is made
	conn   *sdbus.Conn
	cancel context.CancelFunc // of conn
	closed bool
}

// Connect connects to systemd: for root by its private socket, which needs no
// bus, else over the system bus. ctx bounds only the connecting: the Manager can
// be used until Close. The error is ErrNotBooted where there is no systemd to
// talk to, and ErrDisconnected where root finds that it does not answer.
func Connect(ctx context.Context) (*Manager, error) {
	if _, err := os.Lstat(bootedDir); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotBooted, err)
	}
	if os.Geteuid() != 0 {
		return connect(ctx, sdbus.NewSystemConnectionContext)
	}
	m := &Manager{dial: dialAsRoot}
	if err := m.ask(ctx, func(*sdbus.Conn) error { return nil }); err != nil {
		return nil, err
	}
	return m, nil
}

func dialAsRoot(ctx context.Context) (*sdbus.Conn, error) {
	conn, private := sdbus.NewSystemdConnectionContext(ctx)
	if private == nil {
		return conn, nil
	}
	conn, err := sdbus.NewSystemConnectionContext(ctx)
	if err != nil {
		return nil, errors.Join(private, err)
	}
	return conn, nil
}

// connect tries once.
func connect(ctx context.Context, dial func(context.Context) (*sdbus.Conn, error)) (*Manager, error) {
	m := &Manager{dial: dial}
	if _, err := m.connection(ctx); err != nil {
		return nil, err
	}
	return m, nil
}

// Close ends the connection. Queued jobs continue.
func (m *Manager) Close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.drop()
}

// ask makes a call that may be repeated. Where the connection is lost before the
// answer, the call is made again over a new one.
func (m *Manager) ask(ctx context.Context, do func(*sdbus.Conn) error) error {
	backoff := pace.Backoff{First: 10 * time.Millisecond, Most: time.Second}
	began := time.Now()
	for try := 1; ; try++ {
		conn, err := m.connection(ctx)
		if err == nil {
			err = do(conn)
		}
		if !lost(conn, err) {
			return err
		}
		m.forget(conn)
		if time.Since(began) >= answerLimit || pace.Sleep(ctx, backoff.Pause(try, 1)) != nil {
			return fmt.Errorf("%w: %w", ErrDisconnected, err)
		}
	}
}

// lost reports whether err is an error of the connection, so that the outcome of the
// call is unknown. A nil conn is one that could not be made.
func lost(conn *sdbus.Conn, err error) bool {
	if err == nil || errors.Is(err, errClosed) {
		return false
	}
	if answer, ok := errors.AsType[dbus.Error](err); ok {
		return slices.Contains(noAnswer, answer.Name)
	}
	_, network := errors.AsType[*net.OpError](err)
	broken := network || errors.Is(err, dbus.ErrClosed) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe)
	return broken || conn == nil || !conn.Connected()
}

var errClosed = errors.New("the connection to systemd has been closed")

// connection returns the present connection, or a new one where that is lost.
func (m *Manager) connection(ctx context.Context) (*sdbus.Conn, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.closed:
		return nil, errClosed
	case m.conn != nil && m.conn.Connected():
		return m.conn, nil
	}
	m.drop()
	// godbus closes a connection when the context of its dial ends.
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	release := context.AfterFunc(ctx, cancel)
	conn, err := m.dial(life)
	if !release() { // ctx ended, which closed the connection
		err = context.Cause(ctx)
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("connect to systemd: %w", err)
	}
	m.conn, m.cancel = conn, cancel
	return conn, nil
}

// forget closes a connection that was lost.
func (m *Manager) forget(conn *sdbus.Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.conn == conn {
		m.drop()
	}
}

func (m *Manager) drop() {
	if m.conn != nil {
		m.conn.Close()
		m.cancel()
		m.conn = nil
	}
}
