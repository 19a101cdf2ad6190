package health

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net"
	"net/netip"
	"strconv"

	"github.com/prometheus/procfs"
)

// stateListen is TCP_LISTEN of the kernel's include/net/tcp_states.h.
const stateListen = 0x0A

// listening returns the inodes of the sockets that answer at addr.
func listening(files procfs.FS, addr string) ([]uint64, error) {
	asked, err := localAddresses(addr)
	if err != nil {
		return nil, err
	}
	// Deprecated because netlink is faster. This works where netlink is closed, in
	// a container above all, and the processes have to be found in /proc anyway.
	v4, err4 := files.NetTCP()  //nolint:staticcheck // good enough, see above
	v6, err6 := files.NetTCP6() //nolint:staticcheck // good enough, see above
	for _, err := range []error{err4, err6} {
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // a kernel without IPv6
			return nil, fmt.Errorf("read sockets: %w", err)
		}
	}
	var sockets []socket
	for _, line := range append(v4, v6...) {
		if bound, ok := netip.AddrFromSlice(line.LocalAddr); ok && line.St == stateListen && line.LocalPort <= math.MaxUint16 {
			sockets = append(sockets, socket{bound: netip.AddrPortFrom(bound, uint16(line.LocalPort)), inode: line.Inode})
		}
	}
	var inodes []uint64
	for _, a := range asked {
		for _, s := range answering(sockets, a) {
			inodes = append(inodes, s.inode)
		}
	}
	if len(inodes) == 0 {
		return nil, fmt.Errorf("%w on %s: there is no such socket in this network namespace", ErrUnseen, addr)
	}
	return inodes, nil
}

// answering returns the listening sockets that the kernel would choose for a
// connection to an address: those bound to it, else to every address of its
// family, else to every address of both families.
func answering(sockets []socket, to netip.AddrPort) []socket {
	best, found, ip := 0, []socket(nil), to.Addr()
	for _, s := range sockets {
		if s.bound.Port() != to.Port() {
			continue
		}
		bound, rank := s.bound.Addr(), 0
		switch {
		case bound.Unmap() == ip:
			rank = 3
		case bound.IsUnspecified() && bound.Is4() == ip.Is4():
			rank = 2
		case bound.IsUnspecified() && bound.Is6():
			rank = 1
		}
		if rank > best {
			best, found = rank, nil
		}
		if rank == best && rank > 0 {
			found = append(found, s)
		}
	}
	return found
}

// localAddresses returns what a probe of addr connects to, where that is clear
// without a resolver: a name may lead to any machine.
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
	switch ip = ip.Unmap().WithZone(""); ip { // a connection to "any" goes to loopback
	case netip.IPv4Unspecified():
		ip = v4
	case netip.IPv6Unspecified():
		ip = v6
	}
	return []netip.AddrPort{netip.AddrPortFrom(ip, uint16(port))}, nil
}
