package artifacts

import (
	"fmt"
	"time"
)

// Duration is a time span that a document spells as Go does: "2m", "10s".
type Duration time.Duration

// MarshalText writes the shortest spelling that Go knows.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText refuses what is negative or no time span.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v < 0 {
		return fmt.Errorf("%q is not a time span such as 90s or 2m", clip(string(text)))
	}
	*d = Duration(v)
	return nil
}
