package picture

import (
	"strconv"
	"time"
)

// maxTicks is how many intervals an axis has at most.
const maxTicks = 8

// tickEvery returns the distance between an axis's ticks: the smallest round
// one that gives at most maxTicks intervals.
func tickEvery(total time.Duration) time.Duration {
	const ms, s, m, h = time.Millisecond, time.Second, time.Minute, time.Hour
	every := []time.Duration{
		1 * ms, 2 * ms, 5 * ms, 10 * ms, 20 * ms, 50 * ms, 100 * ms, 200 * ms, 500 * ms,
		1 * s, 2 * s, 5 * s, 10 * s, 20 * s, 30 * s,
		1 * m, 2 * m, 5 * m, 10 * m, 20 * m, 30 * m,
	}
	for _, d := range every {
		if total/d < maxTicks || total == maxTicks*d {
			return d
		}
	}
	d := h
	for total/d >= maxTicks {
		d *= 2
	}
	return d
}

// tickLabel formats a round time on an axis: "0", "500 ms", "1.5 s", "2 min",
// "4 h".
func tickLabel(d time.Duration) string {
	value := func(unit time.Duration) string {
		return strconv.FormatFloat(float64(d)/float64(unit), 'f', -1, 64)
	}
	switch {
	case d == 0:
		return "0"
	case d < time.Second:
		return value(time.Millisecond) + " ms"
	case d < time.Minute:
		return value(time.Second) + " s"
	case d < time.Hour:
		return value(time.Minute) + " min"
	default:
		return value(time.Hour) + " h"
	}
}
