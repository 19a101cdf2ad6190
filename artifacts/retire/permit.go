package retire

import (
	"context"
	"errors"
	"fmt"
	"time"

	"koboshi/artifacts/bucket"
)

// RetiredError is a release that may neither be promoted nor published.
type RetiredError struct {
	Version string
	State   State
	At      time.Time // since when, by the clock of who has changed the mark; zero = not known
}

// Error says how far the release is on its way out, and since when.
func (e *RetiredError) Error() string {
	at := ""
	if !e.At.IsZero() {
		at = " on " + e.At.UTC().Format(time.RFC3339)
	}
	switch e.State {
	case Gone:
		return e.Version + " was removed from the bucket by koboshi releases prune" + at
	case Sweeping:
		return e.Version + " is being removed from the bucket by koboshi releases prune, which began" + at
	}
	return e.Version + " was marked for removal" + at
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
		err = &RetiredError{version, found.State, found.At}
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
