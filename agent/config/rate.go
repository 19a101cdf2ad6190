package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Rate is a number of bytes per second; 0 means no limit.
type Rate int64

// minRate is the rate at which a connection still counts as alive.
const minRate = 64 << 10

// units of a Rate, the largest first.
var units = [...]struct {
	name  string
	bytes int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"", 1}}

// MarshalText spells a rate in the largest unit of which it is a whole number.
func (r Rate) MarshalText() ([]byte, error) {
	for _, u := range units {
		if n := int64(r); n%u.bytes == 0 && (n != 0 || u.bytes == 1) {
			return []byte(strconv.FormatInt(n/u.bytes, 10) + u.name), nil
		}
	}
	return nil, fmt.Errorf("%d is no rate", int64(r)) // the last unit divides everything
}

// UnmarshalText takes digits followed by KiB, MiB, GiB or nothing: at least
// 64KiB, or 0.
func (r *Rate) UnmarshalText(text []byte) error {
	for _, u := range units {
		digits, ok := strings.CutSuffix(string(text), u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(digits, 10, 63) // no sign
		rate := int64(n)                            //nolint:gosec // 63 bits
		if err != nil || rate > math.MaxInt64/u.bytes || rate != 0 && rate*u.bytes < minRate {
			break
		}
		*r = Rate(rate * u.bytes)
		return nil
	}
	return fmt.Errorf("%.40q is not a rate such as 50MiB: want a whole number of bytes per second, at least 64KiB, or 0", text)
}
