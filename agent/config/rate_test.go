package config_test

import (
	"testing"

	"koboshi/agent/config"
)

func TestRates(t *testing.T) {
	for text, want := range map[string]config.Rate{
		"0": 0, "65536": 64 << 10, "64KiB": 64 << 10, "50MiB": 50 << 20, "1GiB": 1 << 30, "70000": 70000, "1536MiB": 1536 << 20, "0MiB": 0,
	} {
		var got config.Rate
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%s: %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "MiB", "-1MiB", "+1MiB", "1.5MiB", "1 MiB", "50MB", "50M", "50mib", "50MiB/s", "63KiB", "1", "0x100000", "1e9", " 50MiB",
		"9223372036854775808", "9007199254740992KiB", "8589934592GiB"} {
		var got config.Rate
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was taken for %d", text, got)
		}
	}
}

func TestRateSpelled(t *testing.T) {
	for rate, want := range map[config.Rate]string{0: "0", 64 << 10: "64KiB", 50 << 20: "50MiB", 1 << 30: "1GiB", 70000: "70000", 1536 << 20: "1536MiB"} {
		if got, err := rate.MarshalText(); err != nil || string(got) != want {
			t.Errorf("%d: %s, %v, want %s", int64(rate), got, err, want)
		}
	}
}

func FuzzRate(f *testing.F) {
	for _, s := range []string{"0", "50MiB", "64KiB", "1GiB", "70000", "-1", "9223372036854775807", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var r, again config.Rate
		if r.UnmarshalText([]byte(s)) != nil {
			return
		}
		if r < 0 || r != 0 && r < 64<<10 {
			t.Fatalf("%q was taken for %d", s, int64(r))
		}
		text, err := r.MarshalText()
		if err != nil || again.UnmarshalText(text) != nil || again != r {
			t.Fatalf("%q is %d, which spells %q and reads %d (%v)", s, int64(r), text, int64(again), err)
		}
	})
}

func TestRateInAFile(t *testing.T) {
	for text, want := range map[string]config.Rate{`"50MiB"`: 50 << 20, `1048576`: 1 << 20, `0`: 0} {
		c, err := parse(t, minimal+"[install]\nmax_rate = "+text+"\n")
		if err != nil || c.Install.MaxRate != want {
			t.Errorf("%s: %v, want %d", text, err, want)
		}
	}
}
