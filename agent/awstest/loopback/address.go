package loopback

import (
	"fmt"
	"os"
	"sync/atomic"
)

var given atomic.Int32

// Address is one for a server that binds it later, as a program does that a test starts.
// Its host belongs to this process: no other server takes the port meanwhile, and no
// connection has it for its own end.
func Address() string {
	const hosts, first, ports = 250, 20_000, 40_000
	pid, n := os.Getpid(), int(given.Add(1))
	return fmt.Sprintf("127.%d.%d.1:%d", 1+pid/hosts%hosts, pid%hosts, first+n%ports)
}
