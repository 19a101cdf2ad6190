package retire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	"koboshi/artifacts/bucket"
)

// Found is a mark as it is in the bucket; the zero Found is none.
type Found struct {
	Mark
	ETag     string
	Modified time.Time // by the store's clock
	Date     time.Time // of the answer, by the store's clock; zero = not known
}

// Read reads the mark of a version; the zero Found where there is none. Errors are
// those of a bucket's Get, [ErrMark] and artifacts.ErrTooOld.
func Read(ctx context.Context, b bucket.Reader, app, version string) (Found, error) {
	data, object, err := bucket.Read(ctx, b, Key(version), maxBytes)
	if errors.Is(err, bucket.ErrNotFound) {
		return Found{}, nil
	}
	if errors.Is(err, bucket.ErrTooLarge) {
		err = fmt.Errorf("%w: %w", ErrMark, err)
	}
	if err != nil {
		return Found{}, err
	}
	m, err := parse(data, app, version)
	if err != nil {
		return Found{}, fmt.Errorf("%s: %w", Key(version), err)
	}
	return Found{m, object.ETag, object.Modified, object.Date}, nil
}

// Write stores a mark in place of the one that was found. Where that has changed
// meanwhile, the error is bucket.ErrChanged or bucket.ErrExists, and nothing is
// stored. A store without ETags is ErrStore.
func Write(ctx context.Context, b bucket.Bucket, m Mark, was Found) (Found, error) {
	when := bucket.Condition{Absent: true}
	if was.State != "" {
		when = bucket.Condition{ETag: was.ETag}
		if was.ETag == "" {
			return Found{}, fmt.Errorf("%s: %w: it gives no ETag that can be matched", Key(m.Version), ErrStore)
		}
	}
	data, err := json.Marshal(m)
	if err != nil {
		return Found{}, err
	}
	object, err := b.Put(ctx, Key(m.Version), bytes.NewReader(data), int64(len(data)), when)
	if errors.Is(err, bucket.ErrChanged) || errors.Is(err, bucket.ErrExists) { // perhaps by our own write, whose answer was lost
		if is, read, readErr := bucket.Read(ctx, b, Key(m.Version), maxBytes); readErr == nil && bytes.Equal(is, data) {
			object, err = read, nil
		}
	}
	if err != nil {
		return Found{}, err
	}
	return Found{Mark: m, ETag: object.ETag}, nil
}

// ErrStore is a store that lacks what marks need: conditional writes, ETags, a Date.
var ErrStore = errors.New("the store cannot be pruned safely")

// RetiredError is a release that may neither be promoted nor published.
type RetiredError struct {
	Version string
	State   State
}

func (e *RetiredError) Error() string {
	switch e.State {
	case Gone:
		return fmt.Sprintf("%s %v: koboshi releases prune has removed it", e.Version, ErrRetired)
	case Sweeping:
		return fmt.Sprintf("%s %v: koboshi releases prune is removing it", e.Version, ErrRetired)
	}
	return fmt.Sprintf("%s %v: it is marked for removal", e.Version, ErrRetired)
}

// Is makes every such error an [ErrRetired].
func (e *RetiredError) Is(target error) bool { return target == ErrRetired }

// Advice is what can be done about it.
func (e *RetiredError) Advice() string {
	if e.State == Marked {
		return "koboshi releases keep " + e.Version + " takes the mark off"
	}
	return "a version is used once: publish under a new one"
}

// ErrRetired is the sentinel of every [RetiredError].
var ErrRetired = errors.New("is retired")

// How long what was read of a mark counts, and how old a mark has to be before its
// release is removed: an hour for the writer, and one for what it has sent.
const (
	Longest  = time.Hour
	MinGrace = 2 * time.Hour
)

// ErrTooLong is a promotion or a publish that has lasted longer than [Longest].
var ErrTooLong = fmt.Errorf("it has lasted longer than %s", Longest)

// Permit allows to write what makes a release usable, for [Longest].
type Permit struct{ asked time.Time }

// Ask reads the mark of a version, just before a permit is needed. Errors are
// [*RetiredError] and those of [Read].
func Ask(ctx context.Context, b bucket.Reader, app, version string) (Permit, error) {
	p := Permit{time.Now()}
	found, err := Read(ctx, b, app, version)
	if err == nil && found.State.Refuses() {
		err = &RetiredError{version, found.State}
	}
	return p, err
}

// Use calls write, unless the permit has ended. The context of write ends with it.
func (p Permit) Use(ctx context.Context, write func(context.Context) error) error {
	if Ended(p.asked, time.Now()) {
		return ErrTooLong
	}
	ctx, cancel := context.WithDeadlineCause(ctx, p.asked.Add(Longest), ErrTooLong)
	defer cancel()
	err := write(ctx)
	if err != nil && errors.Is(context.Cause(ctx), ErrTooLong) {
		return errors.Join(ErrTooLong, err)
	}
	return err
}

// Ended reports whether a permit that was asked for then has ended. It compares both
// clocks: the monotonic one stands still while a laptop sleeps.
func Ended(asked, now time.Time) bool {
	return max(now.Sub(asked), now.Round(0).Sub(asked.Round(0))) >= Longest
}

// Due reports whether a mark of this age may be swept. now is the store's clock.
func Due(modified, now time.Time, grace time.Duration) bool {
	return now.Sub(modified) >= max(grace, MinGrace)
}
