package systemd

import (
	"context"
	"net"
	"os"
	"syscall"
	"testing"

	sdbus "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// startWithFDs is start over sockets, by which file descriptors can pass. They
// are outside of what testing/synctest waits for.
func (f *fakeSystemd) startWithFDs(t *testing.T) *Manager {
	t.Helper()
	m, err := connect(t.Context(), func(ctx context.Context) (*sdbus.Conn, error) {
		return sdbus.NewConnection(func() (*dbus.Conn, error) { return f.dialSocket(ctx) })
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

func (f *fakeSystemd) dialSocket(ctx context.Context) (*dbus.Conn, error) {
	clientEnd, busToClient, err := socketPair()
	if err != nil {
		return nil, err
	}
	serverEnd, busToServer, err := socketPair()
	if err != nil {
		return nil, err
	}
	go func() {
		if handshake(busToClient) == nil && handshake(busToServer) == nil {
			go relayWithFDs(busToClient, busToServer)
			relayWithFDs(busToServer, busToClient)
		}
	}()
	client, err := dbus.DialUnix(clientEnd, dbus.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	if err := client.Auth([]dbus.Auth{dbus.AuthExternal("0")}); err != nil {
		return nil, err
	}
	server, err := dbus.DialUnix(serverEnd)
	if err != nil {
		return nil, err
	}
	return client, f.serve(server)
}

func socketPair() (a, b *net.UnixConn, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		file := os.NewFile(uintptr(fd), "socket")
		conn, err := net.FileConn(file)
		if err != nil {
			return nil, nil, err
		}
		_ = file.Close() // conn has its own
		ends[i] = conn.(*net.UnixConn)
	}
	return ends[0], ends[1], nil
}

// relayWithFDs passes descriptors on as the kernel has numbered them here.
func relayWithFDs(to, from *net.UnixConn) {
	defer func() { _, _ = to.Close(), from.Close() }()
	data, control := make([]byte, 64<<10), make([]byte, 4<<10)
	for {
		n, oob, _, _, err := from.ReadMsgUnix(data, control)
		if err != nil || n == 0 {
			return
		}
		_, _, err = to.WriteMsgUnix(data[:n], control[:oob], nil)
		closeFDs(control[:oob])
		if err != nil {
			return
		}
	}
}

func closeFDs(control []byte) {
	messages, _ := unix.ParseSocketControlMessage(control) // none, but of the kernel's making
	for _, m := range messages {
		fds, _ := unix.ParseUnixRights(&m)
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
	}
}
