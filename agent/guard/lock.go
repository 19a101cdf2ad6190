package guard

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"koboshi/artifacts/bucket"
	"koboshi/artifacts/pace"
)

var (
	// ErrLost is a lock that is someone else's by now.
	ErrLost = errors.New("the lock of the group is lost")
	// ErrEnded is a lock that was not renewed in time.
	ErrEnded = errors.New("the lease has ended")
	// ErrStore is a store that a lock cannot be kept in.
	ErrStore = errors.New("the store cannot keep a lock")
)

// Lock is the record of one group in the bucket, and what its store's clock says. Its
// methods may be called by several goroutines.
type Lock struct {
	bucket bucket.Bucket
	name   string
	local  func() time.Time // the clock of a store that has none of its own; nil = such a store is refused

	mu     sync.Mutex
	record Record
	etag   string // "" = there is no record yet
	lease  time.Duration
	clock  clock
	lost   error // that another holder was seen
}

// clock is the store's, by its last answer.
type clock struct {
	date         time.Time // zero = not known yet
	asked, heard time.Time // by this process's own clock, which counts on monotonically
}

// least is what the store's clock shows now, or a little less.
func (c clock) least() time.Time { return c.date.Add(time.Since(c.heard)) }

// most is what it shows now, or a little more: its answers have whole seconds.
func (c clock) most() time.Time { return c.date.Add(time.Since(c.asked) + time.Second) }

// Open reads the record of a group. A store without a clock, a directory, goes by
// local; where that is nil it is ErrStore.
func Open(ctx context.Context, b bucket.Bucket, name string, local func() time.Time) (*Lock, error) {
	l := &Lock{bucket: b, name: name, local: local}
	l.record = Record{Group: name, State: Released}
	return l, l.read(ctx)
}

// Exists reports whether the group was guarded before.
func (l *Lock) Exists() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.etag != ""
}

// Record is what is known to be stored.
func (l *Lock) Record() Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.record.clone()
}

// Now is the store's clock, a little less at most; zero while nothing is stored.
func (l *Lock) Now() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.clock.date.IsZero() {
		return time.Time{}
	}
	return l.clock.least()
}

// Remaining is for how long the lease holds for sure.
func (l *Lock) Remaining() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.record.Until.Sub(l.clock.most())
}

// read reads what is stored. That nothing is stored is no error.
func (l *Lock) read(ctx context.Context) error {
	asked := time.Now()
	text, object, err := bucket.Read(ctx, l.bucket, Key(l.name), MaxRecord)
	switch {
	case errors.Is(err, bucket.ErrNotFound) && l.etag == "":
		return nil
	case errors.Is(err, bucket.ErrTooLarge):
		return fmt.Errorf("%w: %w", ErrRecord, err)
	case err != nil:
		return fmt.Errorf("read the guard's record: %w", err)
	}
	r, err := Parse(text, l.name)
	if err == nil {
		err = l.note(object, asked)
	}
	if err == nil {
		l.record = r
	}
	return err
}

// note keeps what an answer says of the stored object, and of the store's clock.
func (l *Lock) note(object bucket.Object, asked time.Time) error {
	now := time.Now()
	switch {
	case object.ETag == "":
		return fmt.Errorf("%w: its objects have no ETag", ErrStore)
	case object.Date.IsZero() && l.local == nil:
		return fmt.Errorf("%w: its answers have no time (Date)", ErrStore)
	case object.Date.IsZero():
		object.Date = l.local()
	}
	l.etag, l.clock = object.ETag, clock{object.Date.UTC(), asked, now}
	return nil
}

// Create stores the record of a group that was never guarded. The store has to honour
// the conditions of writes: it is tried out first, so where there is a record it does.
// The store's clock is known afterwards.
func (l *Lock) Create(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.etag != "" {
		return nil
	}
	honoured, err := bucket.ProbeConditions(ctx, l.bucket, Directory)
	switch {
	case err != nil:
		return fmt.Errorf("try out the store: %w", err)
	case honoured == bucket.Ignored:
		return fmt.Errorf("%w: it ignores the conditions of writes (If-Match)", ErrStore)
	}
	r := Record{Group: l.name, State: Released, Nonce: rand.Text()}
	if err := l.put(ctx, r, bucket.Condition{Absent: true, Once: true}); err != nil {
		return l.settle(ctx, err)
	}
	return nil
}

// Acquire makes this the holder of the group, for as long as the lease. The fence is at
// least that. *HeldError is returned where there is a holder, or another has been faster.
func (l *Lock) Acquire(ctx context.Context, c Claimant, fence int64) error {
	return l.claim(ctx, c.Lease, func(r Record, now time.Time) (Record, error) { return r.Acquire(c, fence, now) })
}

// TakeOver makes this the holder of what another one has left.
func (l *Lock) TakeOver(ctx context.Context, holder string, lease time.Duration, force bool) error {
	return l.claim(ctx, lease, func(r Record, now time.Time) (Record, error) { return r.TakeOver(holder, lease, force, now) })
}

// claim swaps the record for that of another holder.
func (l *Lock) claim(ctx context.Context, lease time.Duration, change func(Record, time.Time) (Record, error)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for n := range rounds {
		next, err := change(l.record.clone(), l.clock.least().Truncate(time.Second))
		if err != nil {
			return err
		}
		next.Nonce = rand.Text()
		err = l.put(ctx, next, bucket.Condition{ETag: l.etag, Once: true})
		if err != nil {
			err = l.settle(ctx, err)
		}
		if err != nil {
			return err
		}
		if l.record.Nonce == next.Nonce {
			l.lease = lease
			return nil
		}
		if err := pause(ctx, next.Nonce, n); err != nil {
			return err
		}
	}
	return fmt.Errorf("the record was changed by others %d times in a row: %w", rounds, bucket.ErrChanged)
}

// Continue makes this the process that goes on for a holder, by its fence. A fence that
// is not the record's is *HeldError or ErrLost.
func (l *Lock) Continue(fence int64, lease time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch r := l.record; {
	case r.Fence != fence && r.State == Held:
		return fmt.Errorf("fence %d: %w: %w", fence, ErrLost, errors.New((&HeldError{r, l.clock.least()}).Error()))
	case r.Fence != fence:
		return fmt.Errorf("fence %d: %w: the last one of group %s was %d, and it is released", fence, ErrLost, l.name, r.Fence)
	}
	l.lease = lease
	return nil
}

// Update swaps the record for what change makes of it, and extends the lease. It goes on
// until ctx ends, but not after a refusal. ErrLost is returned where the group has
// another holder by now; a record that is released stays as it is. change may be called several times.
func (l *Lock) Update(ctx context.Context, change func(Record) Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost != nil || l.record.State == Released {
		return l.lost
	}
	fence := l.record.Fence
	for n := 0; ; n++ {
		next := change(l.record.clone())
		next.Nonce = rand.Text()
		if next.State == Held {
			next.Until = later(l.record.Until, l.clock.least().Add(l.lease).Truncate(time.Second))
		}
		err := l.put(ctx, next, bucket.Condition{ETag: l.etag, Once: true})
		if err != nil {
			err = l.settle(ctx, err)
		}
		switch {
		case errors.Is(err, bucket.ErrDenied), errors.Is(err, bucket.ErrCredentials), errors.Is(err, ErrRecord), errors.Is(err, ErrNewer), errors.Is(err, ErrStore):
			return err
		case err == nil && l.record.Nonce == next.Nonce:
			return nil
		case err == nil && (l.record.Fence != fence || l.record.State != Held):
			l.lost = fmt.Errorf("group %s: %w: fence %d is followed by %d (%s by %s)", l.name, ErrLost, fence, l.record.Fence, l.record.State, l.record.Holder)
			return l.lost
		}
		if ended := pause(ctx, next.Nonce, n); ended != nil {
			return errors.Join(ended, err)
		}
	}
}

// Lost is ErrLost once another holder was seen.
func (l *Lock) Lost() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}

// Renew extends the lease. That the group is released is no error.
func (l *Lock) Renew(ctx context.Context) error {
	return l.Update(ctx, func(r Record) Record { return r })
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (l *Lock) put(ctx context.Context, r Record, when bucket.Condition) error {
	text, err := r.Encode()
	if err != nil {
		return err
	}
	asked := time.Now()
	object, err := l.bucket.Put(ctx, Key(l.name), bytes.NewReader(text), int64(len(text)), when)
	if err != nil {
		return fmt.Errorf("write the guard's record: %w", err)
	}
	if object.ETag == "" { // some answers to a write have none
		return l.read(ctx)
	}
	r.Schema = schema
	l.record = r
	return l.note(object, asked)
}

// settle finds out what a write has left that was not answered with success: what is
// stored then is l.record. The error is that of the write where it was refused, and
// that of reading where what is stored is not known.
func (l *Lock) settle(ctx context.Context, wrote error) error {
	if errors.Is(wrote, bucket.ErrDenied) || errors.Is(wrote, bucket.ErrCredentials) || errors.Is(wrote, ErrStore) {
		return wrote
	}
	if err := l.read(ctx); err != nil {
		return errors.Join(err, wrote)
	}
	if l.etag == "" {
		return wrote
	}
	return nil
}

// rounds is how many others may be faster before a claim fails.
const rounds = 16

var backoff = pace.Backoff{First: 200 * time.Millisecond, Most: 2 * time.Second}

// pause waits before the n-th round, each process for another while.
func pause(ctx context.Context, nonce string, n int) error {
	return pace.Sleep(ctx, backoff.Pause(n+1, pace.Share(nonce, n)))
}

// List reads the names of the groups that have a record, sorted.
func List(ctx context.Context, b bucket.Bucket) ([]string, error) {
	names := map[string]bool{}
	for object, err := range b.List(ctx, Directory) {
		if err != nil {
			return nil, err
		}
		if name, ok := GroupOf(object.Key); ok {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names)), nil
}
