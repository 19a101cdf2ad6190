package systemd

import (
	"net"
	"path/filepath"
	"testing"
	"time"
)

func TestNotify(t *testing.T) {
	var n Notifier
	tests := []struct {
		name string
		send func() error
		want string
	}{
		{"ready", n.Ready, "READY=1"},
		{"watchdog", n.Watchdog, "WATCHDOG=1"},
		{"extend", func() error { return n.ExtendTimeout(1500 * time.Millisecond) }, "EXTEND_TIMEOUT_USEC=1500000"},
		{"status", func() error { return n.Status("fetch web\nREADY=1\x1b[31m") }, "STATUS=fetch web READY=1 [31m"},
		{"several", func() error { return Notify("READY=1", "STATUS=up") }, "READY=1\nSTATUS=up"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			conn := listen(t)
			if err := test.send(); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 256)
			n, err := conn.Read(buf)
			if got := string(buf[:n]); err != nil || got != test.want {
				t.Errorf("got %q, %v; want %q", got, err, test.want)
			}
		})
	}
}

func TestNotifyWithoutSystemd(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if err := Notify("READY=1"); err != nil {
		t.Errorf("without a socket: %v", err)
	}
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "none"))
	if err := Notify("READY=1"); err == nil {
		t.Error("no error although nothing listens on the socket")
	}
	if err := Notify(); err != nil {
		t.Errorf("with nothing to say: %v", err)
	}
}

func listen(t *testing.T) *net.UnixConn {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", path)
	return conn
}

func TestKeepAlive(t *testing.T) {
	conn := listen(t)
	longer, stop := Notifier{}.KeepAlive(time.Minute)
	defer stop()
	longer(time.Minute)
	buf := make([]byte, 256)
	for _, want := range []string{"EXTEND_TIMEOUT_USEC=60000000", "WATCHDOG=1"} {
		n, err := conn.Read(buf)
		if got := string(buf[:n]); err != nil || got != want {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
	}
}
