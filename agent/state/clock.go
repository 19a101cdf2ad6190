package state

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Clock counts since the machine was started. No one can set it, and it goes on
// while the machine is suspended. Boot tells one start from another.
type Clock struct {
	Boot   string
	Uptime func() time.Duration
}

// SystemClock is the kernel's clock.
//
// Source: clock_gettime(2), CLOCK_BOOTTIME; random(4), boot_id
func SystemClock() (Clock, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return Clock{}, fmt.Errorf("which boot this is: %w", err)
	}
	return Clock{strings.TrimSpace(string(boot)), uptime}, nil
}

func uptime() time.Duration {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) // every Linux since 2.6.39 has it
	return time.Duration(now.Nano())
}
