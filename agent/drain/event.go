package drain

import (
	"context"
	"time"
)

// Event is what comes between while a drain is under way.
type Event struct {
	Kind EventKind
	In   time.Duration // how much time there is then
}

// EventKind is the kind of an event.
type EventKind int

// The events of a drain.
const (
	Sooner    EventKind = iota + 1 // the drain has to end earlier: In from now
	Withdrawn                      // the notice is taken back; once the app is being stopped that is too late
	Shutdown                       // systemd stops the machine, and so the app: the let-go is over, and all has to be done by In from now
)

// listen follows the events until ctx ends.
func (d *Drain) listen(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-d.Events:
			d.heed(e)
		}
	}
}

func (d *Drain) heed(e Event) {
	switch e.Kind {
	case Sooner:
		d.endIn(e.In)
	case Withdrawn:
		d.withdrawn.Store(true)
		d.serve.end(ErrWithdrawn)
	case Shutdown:
		d.down.Store(true)
		d.endIn(e.In)
		d.serve.end(errShutdown)
	}
}

// endIn brings the end of the drain closer, and with it that of the let-go.
func (d *Drain) endIn(t time.Duration) {
	d.limit.sooner(t)
	d.serve.sooner(d.toServe(t))
}
