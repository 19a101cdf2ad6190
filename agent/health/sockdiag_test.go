package health

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// message is a netlink message as the kernel makes it.
func message(kind uint16, data []byte) []byte {
	header := make([]byte, unix.NLMSG_HDRLEN)
	binary.NativeEndian.PutUint32(header, uint32(len(header)+len(data)))
	binary.NativeEndian.PutUint16(header[4:], kind)
	return append(header, append(data, make([]byte, -len(data)&3)...)...)
}

func attribute(kind uint16, data []byte) []byte {
	header := make([]byte, unix.SizeofNlAttr)
	binary.NativeEndian.PutUint16(header, uint16(len(header)+len(data)))
	binary.NativeEndian.PutUint16(header[2:], kind)
	return append(header, append(data, make([]byte, -len(data)&3)...)...)
}

// diagnosed is a socket's message with attributes behind it.
func diagnosed(family byte, bound string, inode uint32, attributes ...[]byte) []byte {
	to := netip.MustParseAddrPort(bound)
	data := make([]byte, diagMessageSize)
	data[0], data[1] = family, stateListen
	binary.BigEndian.PutUint16(data[diagPort:], to.Port())
	copy(data[diagAddress:], to.Addr().AsSlice())
	binary.NativeEndian.PutUint32(data[diagInode:], inode)
	return message(unix.SOCK_DIAG_BY_FAMILY, append(data, bytes.Join(attributes, nil)...))
}

func uint64s(n uint64) []byte { return binary.NativeEndian.AppendUint64(nil, n) }

func TestParseDiag(t *testing.T) {
	datagram := bytes.Join([][]byte{
		diagnosed(unix.AF_INET, "127.0.0.1:8080", 11, attribute(8, []byte{0}), attribute(diagCgroupID, uint64s(44124)), attribute(22, []byte{1, 2})),
		diagnosed(unix.AF_INET6, "[::1]:8080", 12),
	}, nil)
	want := []socket{{netip.MustParseAddrPort("127.0.0.1:8080"), 11, 44124}, {netip.MustParseAddrPort("[::1]:8080"), 12, 0}}
	found, done, err := parseDiag(datagram)
	if err != nil || done || len(found) != 2 || found[0] != want[0] || found[1] != want[1] {
		t.Errorf("parseDiag = %v, %v, %v; want %v", found, done, err, want)
	}
	found, done, err = parseDiag(append(datagram, message(unix.NLMSG_DONE, make([]byte, 4))...))
	if err != nil || !done || len(found) != 2 {
		t.Errorf("parseDiag of the last datagram = %v, %v, %v", found, done, err)
	}
}

func TestParseDiagErrors(t *testing.T) {
	long := attribute(diagCgroupID, uint64s(1))
	binary.NativeEndian.PutUint16(long, 200)
	for name, tt := range map[string]struct {
		datagram []byte
		want     string
	}{
		"nothing":            {nil, "malformed answer of 0 bytes"},
		"half a header":      {make([]byte, 7), "malformed answer of 7 bytes"},
		"an error":           {message(unix.NLMSG_ERROR, binary.NativeEndian.AppendUint32(nil, uint32(0xfffffffe))), syscall.ENOENT.Error()},
		"half an error":      {message(unix.NLMSG_ERROR, nil), "malformed error"},
		"half a socket":      {message(unix.SOCK_DIAG_BY_FAMILY, make([]byte, 71)), "malformed socket of 71 bytes"},
		"an attribute cut":   {diagnosed(unix.AF_INET, "127.0.0.1:1", 1, long), "malformed attribute of 200 bytes"},
		"an empty attribute": {diagnosed(unix.AF_INET, "127.0.0.1:1", 1, make([]byte, 4)), "malformed attribute of 0 bytes"},
	} {
		if _, _, err := parseDiag(tt.datagram); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: parseDiag = %v, want %q", name, err, tt.want)
		}
	}
}

// The kernel of this machine answers as it does on an instance.
func TestDiagnose(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		listen, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = listen.Close() }()
		other, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = other.Close() }()
		bound := listen.Addr().(*net.TCPAddr).AddrPort()
		found, err := diagnose(bound.Port())
		if err != nil || len(found) != 1 || found[0].bound != bound || found[0].inode != inodeOf(t, listen) {
			t.Errorf("%s: diagnose = %+v, %v; want inode %d", bound, found, err, inodeOf(t, listen))
		}
	}
}

func inodeOf(t *testing.T, listen net.Listener) uint64 {
	t.Helper()
	file, err := listen.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Ino
}

func FuzzParseDiag(f *testing.F) {
	f.Add(diagnosed(unix.AF_INET, "127.0.0.1:8080", 11, attribute(diagCgroupID, uint64s(44124))))
	f.Add(append(diagnosed(unix.AF_INET6, "[::1]:8080", 12), message(unix.NLMSG_DONE, make([]byte, 4))...))
	f.Add(message(unix.NLMSG_ERROR, make([]byte, 4)))
	f.Fuzz(func(t *testing.T, datagram []byte) {
		found, _, err := parseDiag(datagram)
		if err != nil && len(found) > 0 {
			t.Errorf("an error and %d sockets", len(found))
		}
		if len(found)*(unix.NLMSG_HDRLEN+diagMessageSize) > len(datagram) {
			t.Errorf("%d sockets in %d bytes", len(found), len(datagram))
		}
	})
}
