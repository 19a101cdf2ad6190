package install

import (
	"fmt"
	"time"

	"koboshi/systemd"
)

// Follow is whether the machine looks at its channel by itself. The zero Follow
// leaves that as it is.
type Follow struct {
	Every time.Duration // 0 = no interval is set
	Off   bool          // not any more
}

// Limits of [Follow.Every].
const (
	MinFollow = 10 * time.Second
	MaxFollow = 24 * time.Hour
)

const intervalFile = "10-interval.conf"

// Within is how long after a promotion the last machine looks that looks at such an
// interval: its timer adds up to a tenth, so that machines which started together do
// not ask together.
func Within(every time.Duration) time.Duration { return every + every/10 }

// follow writes the interval, and enables the timer.
func (r *Root) follow(app string, f Follow, enable bool) error {
	dropIn := dropInOf(systemd.SyncTimer, app, intervalFile)
	switch {
	case f.Off:
		if err := r.disable(systemd.SyncTimer, app); err != nil {
			return err
		}
		return r.remove(dropIn)
	case f.Every == 0:
		return nil
	}
	if err := r.file(dropIn, []byte(intervalDropIn(f.Every)), 0o644); err != nil || !enable {
		return err
	}
	return r.enable(systemd.SyncTimer, app)
}

// intervalDropIn sets the timer anew: the empty value removes what the unit has.
func intervalDropIn(every time.Duration) string {
	seconds := every.Seconds()
	return fmt.Sprintf("# Written by koboshi install --follow.\n[Timer]\nOnActiveSec=\nOnActiveSec=%gs\nOnUnitInactiveSec=%gs\nRandomizedDelaySec=%gs\n",
		seconds, seconds, (Within(every) - every).Seconds())
}
