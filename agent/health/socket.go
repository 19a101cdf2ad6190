package health

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// socket is one line of /proc/net/tcp or tcp6.
type socket struct {
	addr   netip.AddrPort
	inode  string
	listen bool
}

// listening returns the inodes of the sockets that answer at addr.
func (p proc) listening(addr string) ([]string, error) {
	asked, err := localAddresses(addr)
	if err != nil {
		return nil, err
	}
	var sockets []socket
	for _, table := range []string{"net/tcp", "net/tcp6"} {
		found, err := p.sockets(table, asked[0].Port())
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // a kernel without IPv6
			return nil, fmt.Errorf("read sockets: %w", err)
		}
		sockets = append(sockets, found...)
	}
	var inodes []string
	for _, a := range asked {
		inodes = append(inodes, answering(sockets, a.Addr())...)
	}
	if len(inodes) == 0 {
		return nil, fmt.Errorf("%w on %s: there is no such socket in this network namespace", ErrUnseen, addr)
	}
	return inodes, nil
}

// sockets returns the listening sockets of one table with the given port.
func (p proc) sockets(table string, port uint16) ([]socket, error) {
	f, err := p.fsys.Open(table)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	var found []socket
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if s, ok := parseSocket(lines.Text()); ok && s.listen && s.addr.Port() == port {
			found = append(found, s)
		}
	}
	return found, lines.Err()
}

// answering returns the sockets that the kernel would choose for a connection
// to ip: those bound to it, else to all of its family, else to both families.
func answering(sockets []socket, ip netip.Addr) []string {
	best, inodes := 0, []string(nil)
	for _, s := range sockets {
		rank := 0
		switch bound := s.addr.Addr(); {
		case bound.Unmap() == ip:
			rank = 3
		case bound.IsUnspecified() && bound.Is4() == ip.Is4():
			rank = 2
		case bound.IsUnspecified() && bound.Is6():
			rank = 1
		}
		if rank > best {
			best, inodes = rank, nil
		}
		if rank == best && rank > 0 {
			inodes = append(inodes, s.inode)
		}
	}
	return inodes
}

// localAddresses returns what a probe of addr connects to, if that needs no
// resolver to tell: the machine's own names for itself may lead anywhere.
func localAddresses(addr string) ([]netip.AddrPort, error) {
	host, service, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("%w: the probe has no address", ErrUnseen)
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("%w on %s: the port is not a number", ErrUnseen, addr)
	}
	v4, v6 := netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()
	if host == "localhost" || host == "" {
		return []netip.AddrPort{netip.AddrPortFrom(v4, uint16(port)), netip.AddrPortFrom(v6, uint16(port))}, nil
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return nil, fmt.Errorf("%w on %s: the host is not an address", ErrUnseen, addr)
	}
	switch ip = ip.Unmap().WithZone(""); ip { // to connect to "any" is to connect to loopback
	case netip.IPv4Unspecified():
		ip = v4
	case netip.IPv6Unspecified():
		ip = v6
	}
	return []netip.AddrPort{netip.AddrPortFrom(ip, uint16(port))}, nil
}

// parseSocket reads one line of /proc/net/tcp{,6}, proc_net_tcp in the kernel's
// documentation: "sl local remote st queues timer retransmit uid timeout inode …".
func parseSocket(line string) (socket, bool) {
	const stateListen = "0A"
	fields := strings.Fields(line)
	if len(fields) < 10 {
		return socket{}, false
	}
	ip, port, ok := strings.Cut(fields[1], ":")
	addr, err := parseHexIP(ip)
	number, portErr := strconv.ParseUint(port, 16, 16)
	if _, inodeErr := strconv.ParseUint(fields[9], 10, 64); !ok || err != nil || portErr != nil || inodeErr != nil {
		return socket{}, false
	}
	return socket{netip.AddrPortFrom(addr, uint16(number)), fields[9], fields[3] == stateListen}, true
}

// parseHexIP reads an address that the kernel prints as 32-bit words of its own
// byte order: 0100007F is 127.0.0.1 on amd64 and arm64.
func parseHexIP(text string) (netip.Addr, error) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw)%4 != 0 {
		return netip.Addr{}, fmt.Errorf("%q is no address", text)
	}
	for word := raw; len(word) > 0; word = word[4:] {
		binary.NativeEndian.PutUint32(word, binary.BigEndian.Uint32(word))
	}
	addr, ok := netip.AddrFromSlice(raw)
	if !ok {
		return netip.Addr{}, fmt.Errorf("%q is no address", text)
	}
	return addr, nil
}
