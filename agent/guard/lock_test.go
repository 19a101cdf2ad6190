package guard_test

import (
	"errors"
	"testing"
	"time"

	"koboshi/agent/guard"
	"koboshi/artifacts/bucket/buckettest"
)

// A store that does not do what a lock needs is refused before anyone holds one.
func TestStoresThatKeepNoLock(t *testing.T) {
	for name, damage := range map[string]func(*buckettest.Memory){
		"ignores conditions": (*buckettest.Memory).IgnoreConditions,
		"has no ETags":       (*buckettest.Memory).ForgetETags,
	} {
		b := buckettest.NewMemory()
		damage(b)
		l, err := guard.Open(t.Context(), b, "web", nil)
		if err == nil {
			err = l.Create(t.Context())
		}
		if !errors.Is(err, guard.ErrStore) {
			t.Errorf("a store that %s: %v", name, err)
		}
		if again, err := guard.Open(t.Context(), b, "web", nil); err == nil && again.Record().State != guard.Released {
			t.Errorf("a store that %s has a lock: %+v", name, again.Record())
		}
	}
}

// A store whose answers have no time has only a local clock to go by, if there is one.
func TestStoreWithoutClock(t *testing.T) {
	b := buckettest.NewMemory()
	b.SetClock(func() time.Time { return time.Time{} })
	l, err := guard.Open(t.Context(), b, "web", nil)
	if err == nil {
		err = l.Create(t.Context())
	}
	if !errors.Is(err, guard.ErrStore) {
		t.Errorf("without any clock: %v", err)
	}
	l, err = guard.Open(t.Context(), b, "api", time.Now)
	if err == nil {
		err = l.Create(t.Context())
	}
	if err != nil {
		t.Errorf("with the machine's clock: %v", err)
	}
}
