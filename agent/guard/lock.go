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

	turn chan struct{} // has a value while someone reads or writes the record

	mu    sync.Mutex // of what follows; never held while the store is asked
	known known
	lease time.Duration
	lost  error // that another holder was seen
}

// known is what is known of the stored record.
type known struct {
	record Record
	etag   string // "" = there is no record yet
	clock  clock
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
	l := &Lock{bucket: b, name: name, local: local, turn: make(chan struct{}, 1)}
	l.known.record = Record{Group: name, State: Released}
	return l, l.read(ctx)
}

// alone waits until no one else reads or writes the record.
func (l *Lock) alone(ctx context.Context) (done func(), err error) {
	select {
	case l.turn <- struct{}{}:
		return func() { <-l.turn }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (l *Lock) now() known {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.known
}

func (l *Lock) learn(k known) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known = k
}

// Exists reports whether the group was guarded before.
func (l *Lock) Exists() bool { return l.now().etag != "" }

// Record is what is known to be stored.
func (l *Lock) Record() Record { return l.now().record.clone() }

// Now is the store's clock, a little less at most; zero while nothing is stored.
func (l *Lock) Now() time.Time {
	if c := l.now().clock; !c.date.IsZero() {
		return c.least()
	}
	return time.Time{}
}

// Remaining is for how long the lease holds for sure.
func (l *Lock) Remaining() time.Duration {
	k := l.now()
	return k.record.Until.Sub(k.clock.most())
}

// read reads what is stored. That nothing is stored is no error.
func (l *Lock) read(ctx context.Context) error {
	asked := time.Now()
	text, object, err := bucket.Read(ctx, l.bucket, Key(l.name), MaxRecord)
	switch {
	case errors.Is(err, bucket.ErrNotFound) && l.now().etag == "":
		return nil
	case errors.Is(err, bucket.ErrTooLarge):
		return fmt.Errorf("%w: %w", ErrRecord, err)
	case err != nil:
		return fmt.Errorf("read the guard's record: %w", err)
	}
	r, err := Parse(text, l.name)
	if err != nil {
		return err
	}
	return l.note(r, object, asked)
}

// note keeps what an answer says of the stored object, and of the store's clock.
func (l *Lock) note(r Record, object bucket.Object, asked time.Time) error {
	switch {
	case object.ETag == "":
		return fmt.Errorf("%w: its objects have no ETag", ErrStore)
	case object.Date.IsZero() && l.local == nil:
		return fmt.Errorf("%w: its answers have no time (Date)", ErrStore)
	case object.Date.IsZero():
		object.Date = l.local()
	}
	l.learn(known{r, object.ETag, clock{object.Date.UTC(), asked, time.Now()}})
	return nil
}

// Create stores the record of a group that was never guarded. The store has to honour
// the conditions of writes: it is tried out first, so where there is a record it does.
// The store's clock is known afterwards.
func (l *Lock) Create(ctx context.Context) error {
	if l.Exists() {
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
	return l.put(ctx, r, bucket.Condition{Absent: true, Once: true})
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
	done, err := l.alone(ctx)
	if err != nil {
		return err
	}
	defer done()
	for n := range rounds {
		k := l.now()
		next, err := change(k.record.clone(), k.clock.least().Truncate(time.Second))
		if err != nil {
			return err
		}
		next.Nonce = rand.Text()
		if err := l.put(ctx, next, bucket.Condition{ETag: k.etag, Once: true}); err != nil {
			return err
		}
		if l.now().record.Nonce == next.Nonce {
			l.mu.Lock()
			defer l.mu.Unlock()
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
// is not the record's is ErrLost.
func (l *Lock) Continue(fence int64, lease time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch r := l.known.record; {
	case r.Fence != fence && r.State == Held:
		return fmt.Errorf("fence %d: %w: %s", fence, ErrLost, (&HeldError{r, l.known.clock.least()}).Error())
	case r.Fence != fence:
		return fmt.Errorf("fence %d: %w: the last one of group %s was %d, and it is released", fence, ErrLost, l.name, r.Fence)
	}
	l.lease = lease
	return nil
}

// Update swaps the record for what change makes of it, and extends the lease. It goes on
// until ctx ends, but not after a refusal. ErrLost is returned where the group has
// another holder by now; a record that is released stays as it is. change may be called
// several times.
func (l *Lock) Update(ctx context.Context, change func(Record) Record) error {
	done, err := l.alone(ctx)
	if err != nil {
		return err
	}
	defer done()
	fence := l.now().record.Fence
	for n := 0; ; n++ {
		k := l.now()
		if err := l.whether(k.record, fence); err != nil || k.record.State == Released {
			return err
		}
		next := change(k.record.clone())
		next.Nonce = rand.Text()
		if next.State == Held {
			next.Until = later(k.record.Until, k.clock.least().Add(l.length()).Truncate(time.Second))
		}
		err := l.put(ctx, next, bucket.Condition{ETag: k.etag, Once: true})
		switch {
		case err == nil && l.now().record.Nonce == next.Nonce:
			return nil
		case errors.Is(err, bucket.ErrDenied), errors.Is(err, bucket.ErrCredentials), errors.Is(err, ErrRecord), errors.Is(err, ErrNewer), errors.Is(err, ErrStore):
			return err
		}
		if ended := pause(ctx, next.Nonce, n); ended != nil {
			return errors.Join(ended, err)
		}
	}
}

// whether reports that a record is another holder's, also if that was seen before.
func (l *Lock) whether(r Record, fence int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost == nil && r.Fence != fence {
		l.lost = fmt.Errorf("group %s: %w: fence %d is followed by %d (%s by %s)", l.name, ErrLost, fence, r.Fence, r.State, r.Holder)
	}
	return l.lost
}

func (l *Lock) length() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lease
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

// put writes the record. Where the answer is not that it was stored, it finds out what
// is: without an error, that is known afterwards, and is this record or another one. The
// error is that of the write where it was refused, and that of both where nothing is
// known.
func (l *Lock) put(ctx context.Context, r Record, when bucket.Condition) error {
	text, err := r.Encode()
	if err != nil {
		return err
	}
	asked := time.Now()
	object, err := l.bucket.Put(ctx, Key(l.name), bytes.NewReader(text), int64(len(text)), when)
	switch {
	case err == nil && object.ETag != "":
		r.Schema = schema
		return l.note(r, object, asked)
	case errors.Is(err, bucket.ErrDenied), errors.Is(err, bucket.ErrCredentials):
		return fmt.Errorf("write the guard's record: %w", err)
	}
	if unread := l.read(ctx); unread != nil {
		return errors.Join(unread, err)
	}
	if !l.Exists() {
		return fmt.Errorf("write the guard's record: %w", err)
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
