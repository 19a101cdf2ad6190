package buckettest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"koboshi/artifacts"
)

const racers = 16

// Writes checks conditional writes one after the other.
func Writes(t *testing.T, b Bucket) {
	first := put(t, b, "cond", "one", artifacts.Condition{Absent: true})
	refused := func(key string, when artifacts.Condition, want error, what string) {
		t.Helper()
		_, err := write(t.Context(), b, key, []byte("bad"), when)
		wantError(t, err, want, what)
	}
	refused("cond", artifacts.Condition{Absent: true}, artifacts.ErrExists, "absent over an object")
	second := put(t, b, "cond", "two", artifacts.Condition{ETag: first.ETag})
	refused("cond", artifacts.Condition{ETag: first.ETag}, artifacts.ErrChanged, "an ETag that is gone")
	refused("never", artifacts.Condition{ETag: first.ETag}, artifacts.ErrChanged, "an ETag of no object")
	if got, object := get(t, b, "cond", artifacts.Range{}); string(got) != "two" || object.ETag != second.ETag {
		t.Errorf("after refused writes: got %q with ETag %s, want %q with %s", got, object.ETag, "two", second.ETag)
	}
	_, _, err := read(t.Context(), b, "never", artifacts.Range{})
	wantError(t, err, artifacts.ErrNotFound, "after a refused write to a new key")
	put(t, b, "cond", "three", artifacts.Condition{})
	if got, _ := get(t, b, "cond", artifacts.Range{}); string(got) != "three" {
		t.Errorf("after a write without condition: got %q", got)
	}
	brokenWrites(t, b)
}

// brokenWrites: what does not arrive whole leaves no trace.
func brokenWrites(t *testing.T, b Bucket) {
	if _, err := b.Put(t.Context(), "short", bytes.NewReader([]byte("four")), 5, artifacts.Condition{}); err == nil {
		t.Error("a body of 4 bytes was stored as 5")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := write(ctx, b, "short", []byte("four"), artifacts.Condition{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v, want context.Canceled", err)
	}
	_, _, err := read(t.Context(), b, "short", artifacts.Range{})
	wantError(t, err, artifacts.ErrNotFound, "after a write that failed")
	if listed := keys(t, b, "short"); len(listed) != 0 {
		t.Errorf("a write that failed left %q", listed)
	}
}

// Races checks that of many writers exactly one wins, and that no write that
// was acknowledged is lost.
func Races(t *testing.T, b Bucket) {
	wins, winner := race(t, b, "absent", artifacts.Condition{Absent: true}, artifacts.ErrExists)
	if got, _ := get(t, b, "absent", artifacts.Range{}); wins != 1 || string(got) != winner {
		t.Errorf("absent: %d of %d writers won and %q is stored, want one winner and its bytes", wins, racers, got)
	}
	first := put(t, b, "etag", "first", artifacts.Condition{})
	wins, winner = race(t, b, "etag", artifacts.Condition{ETag: first.ETag}, artifacts.ErrChanged)
	if got, _ := get(t, b, "etag", artifacts.Range{}); wins != 1 || string(got) != winner {
		t.Errorf("ETag: %d of %d writers won and %q is stored, want one winner and its bytes", wins, racers, got)
	}
	noLostUpdate(t, b)
}

func race(t *testing.T, b Bucket, key string, when artifacts.Condition, loss error) (wins int64, winner string) {
	var won atomic.Int64
	var last atomic.Value
	var all sync.WaitGroup
	for i := range racers {
		all.Go(func() {
			mine := fmt.Sprintf("racer %d", i)
			if _, err := write(t.Context(), b, key, []byte(mine), when); err != nil {
				wantError(t, err, loss, mine)
				return
			}
			won.Add(1)
			last.Store(mine)
		})
	}
	all.Wait()
	winner, _ = last.Load().(string)
	return won.Load(), winner
}

// noLostUpdate counts by compare-and-swap: the sum tells how many writes held.
func noLostUpdate(t *testing.T, b Bucket) {
	const each = 3
	put(t, b, "counter", "0", artifacts.Condition{Absent: true})
	var all sync.WaitGroup
	for range racers {
		all.Go(func() {
			for range each {
				increment(t, b)
			}
		})
	}
	all.Wait()
	if got, _ := get(t, b, "counter", artifacts.Range{}); string(got) != strconv.Itoa(racers*each) {
		t.Errorf("counter: got %s after %d acknowledged increments", got, racers*each)
	}
}

func increment(t *testing.T, b Bucket) {
	for {
		data, object, err := read(t.Context(), b, "counter", artifacts.Range{})
		if err != nil {
			t.Error(err)
			return
		}
		n, err := strconv.Atoi(string(data))
		if err != nil {
			t.Errorf("counter: got %q, want a number", data)
			return
		}
		_, err = write(t.Context(), b, "counter", []byte(strconv.Itoa(n+1)), artifacts.Condition{ETag: object.ETag})
		if err == nil {
			return
		}
		if !errors.Is(err, artifacts.ErrChanged) {
			t.Error(err)
			return
		}
	}
}
