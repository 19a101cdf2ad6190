package lease

import (
	"testing"
	"time"
)

func TestStanding(t *testing.T) {
	for name, tt := range map[string]struct {
		item Item
		want Standing
		left time.Duration
	}{
		"held":                      {Item{State: Held, HW: 1500, Slack: 100}, InUse, 600 * time.Millisecond},
		"to its last millisecond":   {Item{State: Held, HW: 1000, Slack: 100}, InUse, 100 * time.Millisecond},
		"its app may overrun":       {Item{State: Held, HW: 999, Slack: 100}, Ending, 99 * time.Millisecond},
		"to the last millisecond":   {Item{State: Held, HW: 900, Slack: 100}, Ending, 0},
		"expired":                   {Item{State: Held, HW: 899, Slack: 100}, Expired, -time.Millisecond},
		"its app looks":             {Item{State: Held, HW: 999}, Expired, -time.Millisecond},
		"free":                      {Item{State: Free, HW: 400}, Unused, -600 * time.Millisecond},
		"freed, with a mark ahead":  {Item{State: Free, HW: 1500, Slack: 100}, Unused, 600 * time.Millisecond},
		"years ago, by a dead node": {Item{State: Held}, Expired, -time.Second},
	} {
		got, left := tt.item.Standing(1000)
		if got != tt.want || left != tt.left {
			t.Errorf("%s: %s, %s left; want %s, %s", name, got, left, tt.want, tt.left)
		}
	}
}
