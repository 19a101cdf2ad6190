package report

import (
	"math"
	"testing"
	"time"
)

func TestBytes(t *testing.T) {
	tests := []struct {
		n    int64
		want string
	}{
		{-5, "0 B"}, {0, "0 B"}, {1, "1 B"}, {999, "999 B"},
		{1000, "1.00 kB"}, {9994, "9.99 kB"}, {9995, "10.0 kB"}, {99_949, "99.9 kB"}, {99_950, "100 kB"},
		{999_499, "999 kB"}, {999_500, "1.00 MB"}, {63_000_000, "63.0 MB"}, {66_060_288, "66.1 MB"},
		{1 << 30, "1.07 GB"}, {5e12, "5.00 TB"}, {7e15, "7.00 PB"}, {math.MaxInt64, "9.22 EB"},
	}
	for _, test := range tests {
		if got := Bytes(test.n); got != test.want {
			t.Errorf("Bytes(%d) = %q, want %q", test.n, got, test.want)
		}
	}
}

func TestRate(t *testing.T) {
	tests := []struct {
		n    int64
		d    time.Duration
		want string
	}{
		{63_000_000, 1230 * time.Millisecond, "51.2 MB/s"},
		{10, 2 * time.Second, "5 B/s"},
		{10, 0, ""}, {10, -time.Second, ""}, {0, time.Second, ""}, {-1, time.Second, ""},
		{math.MaxInt64, 1, "1.00 EB/s"},
	}
	for _, test := range tests {
		if got := Rate(test.n, test.d); got != test.want {
			t.Errorf("Rate(%d, %s) = %q, want %q", test.n, test.d, got, test.want)
		}
	}
}

func TestDuration(t *testing.T) {
	const ms, s, m, h = time.Millisecond, time.Second, time.Minute, time.Hour
	tests := []struct {
		d    time.Duration
		want string
	}{
		{-s, "0 ms"}, {0, "0 ms"}, {1, "<1 ms"}, {ms - 1, "<1 ms"}, {ms, "1 ms"}, {620 * ms, "620 ms"},
		{999*ms + 499*time.Microsecond, "999 ms"}, {999*ms + 500*time.Microsecond, "1.00 s"},
		{1240 * ms, "1.24 s"}, {9994 * ms, "9.99 s"}, {9995 * ms, "10.0 s"}, {12_400 * ms, "12.4 s"},
		{59_949 * ms, "59.9 s"}, {59_950 * ms, "1 min 00 s"}, {125 * s, "2 min 05 s"},
		{h - 501*ms, "59 min 59 s"}, {h - 500*ms, "1 h 00 min"}, {62 * m, "1 h 02 min"}, {50 * h, "50 h 00 min"},
	}
	for _, test := range tests {
		if got := Duration(test.d); got != test.want {
			t.Errorf("Duration(%d) = %q, want %q", test.d, got, test.want)
		}
	}
}
