package nodeid

import (
	"context"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// The kernel takes the timer, and the end of the context ends the reading of it. That a
// clock is set is tried where one may be: on a machine of its own.
func TestClockSet(t *testing.T) {
	ctx, end := context.WithCancel(t.Context())
	set, err := ClockSet(ctx)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-set:
		t.Error("the clock was set")
	default:
	}
	end()

	// A timer that ends by itself is no clock that was set.
	fd, err := unix.TimerfdCreate(unix.CLOCK_REALTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	timer := os.NewFile(uintptr(fd), "timerfd")
	defer func() { _ = timer.Close() }()
	if err := unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Value: unix.Timespec{Nsec: 1}}, nil); err != nil {
		t.Fatal(err)
	}
	if wasSet(timer) {
		t.Error("a timer that has ended is a clock that was set")
	}
}
