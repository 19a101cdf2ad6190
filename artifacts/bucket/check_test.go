package bucket_test

import (
	"errors"
	"testing"

	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/buckettest"
)

// stores are good and bad ones, and what is found of each.
var stores = map[string]struct {
	spoil  func(*buckettest.Memory)
	probed bucket.Conditions
	fails  int // checks that something depends on
	warns  int
}{
	"a good one":            {func(*buckettest.Memory) {}, bucket.Honoured, 0, 0},
	"it ignores conditions": {(*buckettest.Memory).IgnoreConditions, bucket.Ignored, 2, 0},
	"it has no ETags":       {(*buckettest.Memory).ForgetETags, bucket.Honoured, 1, 0},
	"it denies lists":       {func(m *buckettest.Memory) { m.Fail(buckettest.Fault{Op: buckettest.List, Err: bucket.ErrDenied}) }, bucket.Honoured, 1, 0},
	"it denies to delete":   {func(m *buckettest.Memory) { m.Fail(buckettest.Fault{Op: buckettest.Delete, Err: bucket.ErrDenied}) }, bucket.Honoured, 0, 1},
}

func TestProbeConditions(t *testing.T) {
	for name, c := range stores {
		m := buckettest.NewMemory()
		c.spoil(m)
		if got, err := bucket.ProbeConditions(t.Context(), m, "channels/"); got != c.probed || err != nil {
			t.Errorf("%s: %s and %v, want %s", name, got, err, c.probed)
		}
		left(t, m, name, 0)
	}
	m := buckettest.NewMemory()
	m.Fail(buckettest.Fault{Op: buckettest.Put, Err: bucket.ErrDenied, Times: 1})
	if got, err := bucket.ProbeConditions(t.Context(), m, ""); got != bucket.Unknown || err != nil {
		t.Errorf("denied: %s and %v, want unknown", got, err)
	}
	m.Fail(buckettest.Fault{Op: buckettest.Put, Err: errBroken})
	if _, err := bucket.ProbeConditions(t.Context(), m, ""); !errors.Is(err, errBroken) {
		t.Errorf("broken: %v", err)
	}
}

var errBroken = errors.New("broken")

func TestCheckStore(t *testing.T) {
	for name, c := range stores {
		m := buckettest.NewMemory()
		c.spoil(m)
		checks, err := bucket.CheckStore(t.Context(), m, "channels/")
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		fails, warns := 0, 0
		for _, check := range checks {
			if check.Found != "" && check.Needs != "" {
				fails++
			} else if check.Found != "" {
				warns++
			}
		}
		if fails != c.fails || warns != c.warns {
			t.Errorf("%s: %d failures and %d warnings, want %d and %d: %+v", name, fails, warns, c.fails, c.warns, checks)
		}
		left(t, m, name, c.warns)
	}
}

// left holds how many objects are still there.
func left(t *testing.T, m *buckettest.Memory, name string, want int) {
	t.Helper()
	m.Heal()
	n := 0
	for _, err := range m.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != want {
		t.Errorf("%s: %d objects are left, want %d", name, n, want)
	}
}
