package loopback

import (
	"net"
	"testing"
)

// Every address can be bound, and is given once.
func TestAddress(t *testing.T) {
	for range 1000 {
		l, err := net.Listen("tcp", Address())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
	}
}
