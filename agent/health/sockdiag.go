package health

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// The kernel's socket diagnosis, sock_diag(7), as far as it is needed here. Without
// privileges it lists every socket of the network namespace.
// Source: include/uapi/linux/inet_diag.h.
const (
	diagRequestSize = 56 // struct inet_diag_req_v2
	diagMessageSize = 72 // struct inet_diag_msg
	diagPort        = 4  // offset of idiag_sport, big-endian, in the message
	diagAddress     = 8  // of idiag_src, 16 bytes
	diagInode       = 68 // of idiag_inode
	diagCgroupID    = 21 // INET_DIAG_CGROUP_ID, since Linux 5.7: 8 bytes
)

// socket is a listening TCP socket.
type socket struct {
	bound  netip.AddrPort
	inode  uint64
	cgroup uint64 // the inode of the control group that it was made in; 0 = the kernel does not say
}

// diagnose lists the sockets of this network namespace that listen on a port.
func diagnose(port uint16) ([]socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	defer func() { _ = unix.Close(fd) }()
	// The kernel answers at once; this is for a kernel that does not.
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1}); err != nil {
		return nil, os.NewSyscallError("setsockopt", err)
	}
	var all []socket
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		if err := unix.Sendto(fd, diagRequest(family, port), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			return nil, os.NewSyscallError("sendto", err)
		}
		found, err := receive(fd)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

func diagRequest(family uint8, port uint16) []byte {
	b := make([]byte, unix.NLMSG_HDRLEN+diagRequestSize)
	native := binary.NativeEndian
	native.PutUint32(b, uint32(len(b)))
	native.PutUint16(b[4:], unix.SOCK_DIAG_BY_FAMILY)
	native.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	request := b[unix.NLMSG_HDRLEN:]
	request[0], request[1] = family, unix.IPPROTO_TCP
	native.PutUint32(request[4:], 1<<stateListen)
	binary.BigEndian.PutUint16(request[8:], port)
	return b
}

// receive reads the answers to one request.
func receive(fd int) (all []socket, err error) {
	buffer := make([]byte, 64<<10) // the kernel fills at most 32 KiB at once
	for {
		n, _, err := unix.Recvfrom(fd, buffer, 0)
		if err != nil {
			return nil, os.NewSyscallError("recvfrom", err)
		}
		found, done, err := parseDiag(buffer[:n])
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
		if done {
			return all, nil
		}
	}
}

// parseDiag reads the messages of one datagram. done reports that no further one
// belongs to the answer.
func parseDiag(datagram []byte) (found []socket, done bool, err error) {
	messages, err := syscall.ParseNetlinkMessage(datagram)
	if err != nil || len(messages) == 0 {
		return nil, false, fmt.Errorf("socket diagnosis: a malformed answer of %d bytes", len(datagram))
	}
	for _, m := range messages {
		switch m.Header.Type {
		case unix.NLMSG_DONE:
			return found, true, nil
		case unix.NLMSG_ERROR:
			if len(m.Data) < 4 {
				return nil, false, fmt.Errorf("socket diagnosis: a malformed error of %d bytes", len(m.Data))
			}
			errno := -int32(binary.NativeEndian.Uint32(m.Data)) //nolint:gosec // a negative errno
			return nil, false, fmt.Errorf("socket diagnosis: %w", syscall.Errno(errno))
		case unix.SOCK_DIAG_BY_FAMILY:
			s, err := parseSocket(m.Data)
			if err != nil {
				return nil, false, err
			}
			found = append(found, s)
		}
	}
	return found, false, nil
}

// parseSocket reads a struct inet_diag_msg and the attributes behind it.
func parseSocket(data []byte) (s socket, err error) {
	if len(data) < diagMessageSize {
		return s, fmt.Errorf("socket diagnosis: a malformed socket of %d bytes", len(data))
	}
	address := netip.AddrFrom16([16]byte(data[diagAddress:]))
	if data[0] == unix.AF_INET {
		address = netip.AddrFrom4([4]byte(data[diagAddress:]))
	}
	s.bound = netip.AddrPortFrom(address, binary.BigEndian.Uint16(data[diagPort:]))
	s.inode = uint64(binary.NativeEndian.Uint32(data[diagInode:]))
	for rest := data[diagMessageSize:]; len(rest) >= unix.SizeofNlAttr; {
		length, kind := int(binary.NativeEndian.Uint16(rest)), binary.NativeEndian.Uint16(rest[2:])
		if length < unix.SizeofNlAttr || length > len(rest) {
			return s, fmt.Errorf("socket diagnosis: a malformed attribute of %d bytes", length)
		}
		if kind == diagCgroupID && length == unix.SizeofNlAttr+8 {
			s.cgroup = binary.NativeEndian.Uint64(rest[unix.SizeofNlAttr:])
		}
		rest = rest[min((length+3)&^3, len(rest)):] // aligned to 4 bytes
	}
	return s, nil
}
