package picture

import (
	"math"
	"testing"
	"time"
)

func TestAxis(t *testing.T) {
	const ms, s, m, h = time.Millisecond, time.Second, time.Minute, time.Hour
	tests := []struct {
		total, every time.Duration
		label        string // of the second tick
	}{
		{0, ms, "1 ms"}, {8 * ms, ms, "1 ms"}, {8*ms + 1, 2 * ms, "2 ms"}, {700 * ms, 100 * ms, "100 ms"},
		{3 * s, 500 * ms, "500 ms"}, {12_400 * ms, 2 * s, "2 s"}, {90 * s, 20 * s, "20 s"}, {15 * m, 2 * m, "2 min"},
		{5 * h, h, "1 h"}, {24 * h, 4 * h, "4 h"}, {math.MaxInt64, 524288 * h, "524288 h"},
	}
	for _, test := range tests {
		every := tickEvery(test.total)
		if every != test.every || tickLabel(every) != test.label {
			t.Errorf("%s: a tick every %s (%s), want %s (%s)", test.total, every, tickLabel(every), test.every, test.label)
		}
	}
	if got := tickLabel(1500*ms) + ", " + tickLabel(0); got != "1.5 s, 0" {
		t.Errorf("labels %q", got)
	}
}
