package converge

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/artifacts/tree"
)

// A tree that is read slowly costs no more than the bound and the time in which
// it can be fetched; the slower way is stopped.
func TestRace(t *testing.T) {
	const bound = 3 * time.Second
	clean := comparison{}
	altered := comparison{diff: tree.Diff{Altered: []string{"x"}}}
	broken := comparison{err: errors.New("reset")}
	fetched := comparison{replaced: true}
	// after is a way that takes so long, or ends with its context.
	after := func(d time.Duration, c comparison, ended *error) func(context.Context) comparison {
		return func(ctx context.Context) comparison {
			select {
			case <-time.After(d):
				return c
			case <-ctx.Done():
				*ended = ctx.Err()
				return comparison{err: ctx.Err()}
			}
		}
	}
	for _, tt := range []struct {
		name         string
		read, fetch  time.Duration
		found, other comparison
		took         time.Duration
		replaced     bool
		stopped      bool // the slower way
	}{
		{"quickly read", time.Second, time.Second, clean, fetched, time.Second, false, false},
		{"quickly read, altered", time.Second, time.Second, altered, fetched, time.Second, false, false},
		{"slowly read", time.Hour, 2 * time.Second, clean, fetched, bound + 2*time.Second, true, true},
		{"read before it is fetched", 4 * time.Second, time.Hour, clean, fetched, 4 * time.Second, false, true},
		{"altered, found before it is fetched", 4 * time.Second, time.Minute, altered, fetched, bound + time.Minute, true, false},
		{"slowly read, no source", time.Minute, 2 * time.Second, clean, broken, time.Minute, false, false},
		{"slowly read, altered, no source", time.Minute, 2 * time.Second, altered, broken, time.Minute, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var stopped error
				start := time.Now()
				got := race(t.Context(), bound, after(tt.read, tt.found, &stopped), after(tt.fetch, tt.other, &stopped))
				if took := time.Since(start); took != tt.took || got.replaced != tt.replaced || (stopped != nil) != tt.stopped {
					t.Errorf("%+v after %s, the other way: %v", got, took, stopped)
				}
				if !got.replaced && (got.err != nil || got.diff.Clean() != tt.found.diff.Clean()) {
					t.Errorf("found %+v, want %+v", got, tt.found)
				}
			})
		})
	}
}
