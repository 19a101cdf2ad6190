package nodeid

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// ClockSet tells of each time that someone has set this machine's clock, until ctx ends.
// What is not read soon counts once.
//
// Source: timerfd_create(2), TFD_TIMER_CANCEL_ON_SET
func ClockSet(ctx context.Context) (<-chan struct{}, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_REALTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("timerfd_create: %w", err)
	}
	timer := os.NewFile(uintptr(fd), "timerfd")
	if err := await(fd); err != nil {
		return nil, errors.Join(err, timer.Close())
	}
	set := make(chan struct{}, 1)
	context.AfterFunc(ctx, func() { _ = timer.Close() }) // which ends the reading
	go func() {
		for wasSet(timer) && await(fd) == nil {
			select {
			case set <- struct{}{}:
			default:
			}
		}
	}()
	return set, nil
}

// wasSet waits until the clock was set; false is the end of the timer.
func wasSet(timer *os.File) bool {
	_, err := timer.Read(make([]byte, 8))
	return errors.Is(err, unix.ECANCELED)
}

// await arms the timer for a moment that never comes.
func await(fd int) error {
	const farAway = 1 << 40 // seconds since 1970
	when := unix.ItimerSpec{Value: unix.Timespec{Sec: farAway}}
	if err := unix.TimerfdSettime(fd, unix.TFD_TIMER_ABSTIME|unix.TFD_TIMER_CANCEL_ON_SET, &when, nil); err != nil {
		return fmt.Errorf("timerfd_settime: %w", err)
	}
	return nil
}
