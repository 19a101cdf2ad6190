package pace

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if err := Sleep(t.Context(), time.Minute); err != nil || time.Since(began) != time.Minute {
			t.Errorf("slept %s and got %v, want a minute and no error", time.Since(began), err)
		}
		why := errors.New("interrupted")
		ctx, cancel := context.WithCancelCause(t.Context())
		began = time.Now()
		time.AfterFunc(time.Second, func() { cancel(why) })
		if err := Sleep(ctx, time.Hour); !errors.Is(err, why) || time.Since(began) != time.Second {
			t.Errorf("slept %s and got %v, want a second and the cause", time.Since(began), err)
		}
		if err := Sleep(ctx, time.Hour); !errors.Is(err, why) {
			t.Errorf("after the end: got %v, want the cause", err)
		}
		if err := Sleep(ctx, 0); !errors.Is(err, why) {
			t.Errorf("no pause, of what has ended: %v", err)
		}
		if err := Sleep(t.Context(), 0); err != nil {
			t.Errorf("no pause: %v", err)
		}
	})
}

// These numbers distribute a fleet over a time window, and other programs compute
// them, too: they never change.
func TestShareIsFixed(t *testing.T) {
	for n, want := range []string{"0.0602", "0.1028", "0.8139"} {
		if got := fmt.Sprintf("%.4f", Share("i-0123456789abcdef0", n)); got != want {
			t.Errorf("Share(%d) = %s, want %s", n, got, want)
		}
	}
}

func TestSharesAreEven(t *testing.T) {
	const count, bins = 20000, 20
	var bySeed, byNumber [bins]int
	for i := range count {
		bySeed[int(Share(fmt.Sprintf("i-%017x", i), 0)*bins)]++
		byNumber[int(Share("i-0123456789abcdef0", i)*bins)]++
	}
	for i := range bins {
		for _, got := range []int{bySeed[i], byNumber[i]} {
			if got < count/bins*8/10 || got > count/bins*12/10 {
				t.Errorf("%d of %d shares are in part %d of %d", got, count, i, bins)
			}
		}
	}
}

func TestJitterRepeatsNoShare(t *testing.T) {
	const routines, each = 8, 50
	j := Jitter{Seed: "i-1"}
	var mu sync.Mutex
	seen := map[float64]bool{}
	var all sync.WaitGroup
	for range routines {
		all.Go(func() {
			for range each {
				share := j.Next()
				mu.Lock()
				seen[share] = true
				mu.Unlock()
			}
		})
	}
	all.Wait()
	for n := 1; n <= routines*each; n++ {
		if !seen[Share("i-1", n)] {
			t.Errorf("the share of number %d is missing", n)
		}
	}
}

func TestBackoff(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		b    Backoff
		want []time.Duration // with the whole share
	}{
		{Backoff{First: 100 * ms, Most: time.Second}, []time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms, time.Second, time.Second}},
		{Backoff{First: 200 * ms, Most: 10 * time.Second, Factor: 4}, []time.Duration{200 * ms, 800 * ms, 3200 * ms, 10 * time.Second, 10 * time.Second}},
		{Backoff{First: time.Minute, Most: time.Second}, []time.Duration{time.Second, time.Second}},
	} {
		for i, want := range c.want {
			n := i + 1
			if got := c.b.Pause(n, 1); got != want {
				t.Errorf("%+v: the whole pause %d is %s, want %s", c.b, n, got, want)
			}
			if got := c.b.Pause(n, 0); got != want/2 {
				t.Errorf("%+v: the least pause %d is %s, want %s", c.b, n, got, want/2)
			}
		}
	}
	long := Backoff{First: time.Second, Most: 1<<63 - 1, Factor: 1000}
	for n := range 100 {
		if got := long.Pause(n, 0); got <= 0 {
			t.Errorf("pause %d is %s", n, got)
		}
	}
	if got := (Backoff{First: time.Second, Most: 2 * time.Second}).Pause(1<<62, 1); got != 2*time.Second {
		t.Errorf("a late pause is %s", got)
	}
}
