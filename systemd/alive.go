package systemd

import (
	"context"
	"errors"
	"time"
)

// How a long start is kept from its timeout. Each message asks for another window.
const (
	aliveEvery  = 15 * time.Second
	aliveWindow = time.Minute
)

// KeepAlive extends the timeout of the unit's start and feeds the watchdog until
// stop is called, or for the limit: a process that hangs for longer is killed by
// systemd. longer starts the limit anew, after d.
func (n Notifier) KeepAlive(limit time.Duration) (longer func(d time.Duration), stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	end := time.AfterFunc(limit, cancel)
	go func() {
		tick := time.NewTicker(aliveEvery)
		defer tick.Stop()
		for {
			_ = errors.Join(n.ExtendTimeout(aliveWindow), n.Watchdog()) // without systemd there is no one to notify
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
	return func(d time.Duration) { end.Reset(d + limit) }, func() { end.Stop(); cancel() }
}
