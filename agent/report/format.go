package report

import (
	"fmt"
	"strconv"
	"time"
)

// Bytes formats a count of bytes with three significant digits in SI units:
// "512 B", "63.0 MB", "1.07 GB". One MB is a million bytes, as network rates
// have it.
func Bytes(n int64) string {
	if n < 1000 {
		return strconv.FormatInt(max(n, 0), 10) + " B"
	}
	v, unit := float64(n)/1000, 0
	units := [...]string{"kB", "MB", "GB", "TB", "PB", "EB"}
	for v >= 999.5 && unit < len(units)-1 {
		v, unit = v/1000, unit+1
	}
	return significant(v) + " " + units[unit]
}

// Rate formats n bytes moved in d: "51.2 MB/s". It is empty where there is no
// rate to speak of, that is n or d not above zero.
func Rate(n int64, d time.Duration) string {
	if n <= 0 || d <= 0 {
		return ""
	}
	return Bytes(int64(min(float64(n)/d.Seconds(), 1e18))) + "/s"
}

// Duration formats d for people: "0 ms", "<1 ms", "620 ms", "1.24 s", "12.4 s",
// "2 min 05 s", "1 h 02 min". A negative duration counts as zero.
func Duration(d time.Duration) string {
	switch {
	case d <= 0:
		return "0 ms"
	case d < time.Millisecond:
		return "<1 ms"
	case d < 999500*time.Microsecond:
		return strconv.FormatInt(d.Round(time.Millisecond).Milliseconds(), 10) + " ms"
	case d < 59950*time.Millisecond:
		return significant(d.Seconds()) + " s"
	case d < time.Hour-500*time.Millisecond:
		s := int64(d.Round(time.Second) / time.Second)
		return fmt.Sprintf("%d min %02d s", s/60, s%60)
	default:
		m := int64(d.Round(time.Minute) / time.Minute)
		return fmt.Sprintf("%d h %02d min", m/60, m%60)
	}
}

// significant formats a value below 1000 with three significant digits.
func significant(v float64) string {
	decimals := 0
	switch {
	case v < 9.995:
		decimals = 2
	case v < 99.95:
		decimals = 1
	}
	return strconv.FormatFloat(v, 'f', decimals, 64)
}
