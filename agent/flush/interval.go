package flush

import (
	"fmt"
	"time"
)

// interval is how far apart the reports of a shipper are, by the dates in its
// log. It is only for advice.
type interval struct {
	last time.Time
	gap  time.Duration
}

// slow is the interval from which a proof takes longer than it needs to.
const slow = 3 * time.Second

// take reads the date of a report, which begins the line.
func (i *interval) take(layout string, line []byte) {
	if len(line) < len(layout) {
		return
	}
	at, err := time.Parse(layout, string(line[:len(layout)]))
	if err != nil {
		return
	}
	if !i.last.IsZero() {
		i.gap = at.Sub(i.last)
	}
	i.last = at
}

// advice is what to set where the reports are far apart.
func (i *interval) advice(setting string) string {
	if i.gap < slow {
		return ""
	}
	return fmt.Sprintf("it reports every %s: set %s", i.gap.Round(time.Second), setting)
}
