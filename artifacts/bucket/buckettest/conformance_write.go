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

	"koboshi/artifacts/bucket"
)

const racers = 16

// Writes checks conditional writes one after the other.
func Writes(t *testing.T, b bucket.Bucket) {
	first := put(t, b, "cond", "one", bucket.Condition{Absent: true})
	refused := func(key string, when bucket.Condition, want error, what string) {
		t.Helper()
		_, err := write(t.Context(), b, key, []byte("bad"), when)
		wantError(t, err, want, what)
	}
	refused("cond", bucket.Condition{Absent: true}, bucket.ErrExists, "absent over an object")
	second := put(t, b, "cond", "two", bucket.Condition{ETag: first.ETag})
	refused("cond", bucket.Condition{ETag: first.ETag}, bucket.ErrChanged, "an ETag that is gone")
	refused("never", bucket.Condition{ETag: first.ETag}, bucket.ErrChanged, "an ETag of no object")
	if got, object := get(t, b, "cond", bucket.Range{}); string(got) != "two" || object.ETag != second.ETag {
		t.Errorf("after refused writes: got %q with ETag %s, want %q with %s", got, object.ETag, "two", second.ETag)
	}
	_, _, err := read(t.Context(), b, "never", bucket.Range{})
	wantError(t, err, bucket.ErrNotFound, "after a refused write to a new key")
	put(t, b, "cond", "three", bucket.Condition{})
	if got, _ := get(t, b, "cond", bucket.Range{}); string(got) != "three" {
		t.Errorf("after a write without condition: got %q", got)
	}
	brokenWrites(t, b)
	deletes(t, b)
}

// deletes: what is deleted is gone, may be deleted again, and can be made anew.
func deletes(t *testing.T, b bucket.Bucket) {
	put(t, b, "deep/gone", "text", bucket.Condition{})
	for range 2 {
		if err := b.Delete(t.Context(), "deep/gone"); err != nil {
			t.Errorf("delete: %v", err)
		}
	}
	_, _, err := read(t.Context(), b, "deep/gone", bucket.Range{})
	wantError(t, err, bucket.ErrNotFound, "after a delete")
	put(t, b, "deep/gone", "text", bucket.Condition{Absent: true})
}

// brokenWrites: what does not arrive whole leaves no trace.
func brokenWrites(t *testing.T, b bucket.Bucket) {
	if _, err := b.Put(t.Context(), "short", bytes.NewReader([]byte("four")), 5, bucket.Condition{}); err == nil {
		t.Error("a body of 4 bytes was stored as 5")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := write(ctx, b, "short", []byte("four"), bucket.Condition{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v, want context.Canceled", err)
	}
	_, _, err := read(t.Context(), b, "short", bucket.Range{})
	wantError(t, err, bucket.ErrNotFound, "after a write that failed")
	if listed := keys(t, b, "short"); len(listed) != 0 {
		t.Errorf("a write that failed left %q", listed)
	}
}

// Races checks that of many writers exactly one wins, and that no write that
// was acknowledged is lost.
func Races(t *testing.T, b bucket.Bucket) {
	wins, winner := race(t, b, "absent", bucket.Condition{Absent: true}, bucket.ErrExists)
	if got, _ := get(t, b, "absent", bucket.Range{}); wins != 1 || string(got) != winner {
		t.Errorf("absent: %d of %d writers won and %q is stored, want one winner and its bytes", wins, racers, got)
	}
	first := put(t, b, "etag", "first", bucket.Condition{})
	wins, winner = race(t, b, "etag", bucket.Condition{ETag: first.ETag}, bucket.ErrChanged)
	if got, _ := get(t, b, "etag", bucket.Range{}); wins != 1 || string(got) != winner {
		t.Errorf("ETag: %d of %d writers won and %q is stored, want one winner and its bytes", wins, racers, got)
	}
	noLostUpdate(t, b)
}

func race(t *testing.T, b bucket.Bucket, key string, when bucket.Condition, loss error) (wins int64, winner string) {
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

// noLostUpdate counts by compare-and-swap: the sum is how many writes are stored.
func noLostUpdate(t *testing.T, b bucket.Bucket) {
	const each = 3
	put(t, b, "counter", "0", bucket.Condition{Absent: true})
	var all sync.WaitGroup
	for range racers {
		all.Go(func() {
			for range each {
				increment(t, b)
			}
		})
	}
	all.Wait()
	if got, _ := get(t, b, "counter", bucket.Range{}); string(got) != strconv.Itoa(racers*each) {
		t.Errorf("counter: got %s after %d acknowledged increments", got, racers*each)
	}
}

func increment(t *testing.T, b bucket.Bucket) {
	for {
		data, object, err := read(t.Context(), b, "counter", bucket.Range{})
		if err != nil {
			t.Error(err)
			return
		}
		n, err := strconv.Atoi(string(data))
		if err != nil {
			t.Errorf("counter: got %q, want a number", data)
			return
		}
		_, err = write(t.Context(), b, "counter", []byte(strconv.Itoa(n+1)), bucket.Condition{ETag: object.ETag})
		if err == nil {
			return
		}
		if !errors.Is(err, bucket.ErrChanged) {
			t.Error(err)
			return
		}
	}
}
