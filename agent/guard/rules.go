package guard

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"koboshi/agent/group"
)

const (
	// Horizon is how long after an intent a suspension may be the holder's, and how
	// long Describe of AWS may still answer what was before.
	Horizon = time.Minute
	// Grace is how long after the end of a lease its holder may still put the group
	// back; no one else touches it before.
	Grace = time.Minute
)

// Claimant is who wants to keep a group still.
type Claimant struct {
	Holder, Reason string
	Want           []group.Process
	Lease          time.Duration
}

// Acquire is the record of a new holder, at a time of the store's clock. The error is
// *HeldError where there is one already, be it dead: what it has suspended would be
// taken for a stranger's.
func (r Record) Acquire(c Claimant, fence int64, now time.Time) (Record, error) {
	if r.State == Held {
		return r, &HeldError{r, now}
	}
	return Record{
		Group: r.Group, Fence: max(fence, r.Fence+1), State: Held, Holder: c.Holder, Reason: c.Reason,
		Acquired: now, Until: now.Add(c.Lease), Want: c.Want,
	}, nil
}

// TakeOver is the record of one who puts back what a holder has left. The holder's
// lease has to have ended a minute ago, unless it is forced: then the holder, if it
// lives, finds that it has lost its lock.
func (r Record) TakeOver(holder string, lease time.Duration, force bool, now time.Time) (Record, error) {
	if r.State == Held && !force && now.Before(r.Until.Add(Grace)) {
		return r, &HeldError{r, now}
	}
	next := r.clone()
	next.Fence, next.State, next.Holder = r.Fence+1, Held, holder
	next.Acquired, next.Until = now, now.Add(lease)
	return next, nil
}

// Missing are the processes that are still to be suspended, sorted.
func (r Record) Missing(seen group.Group) (missing []group.Process) {
	for _, p := range r.Want {
		if _, is := seen.Suspended[p]; !is && r.Ours[p] == "" && !slices.Contains(missing, p) {
			missing = append(missing, p)
		}
	}
	slices.Sort(missing)
	return missing
}

// Intend is the record before what is missing is suspended. What is suspended already
// and is not the holder's is another's.
func (r Record) Intend(seen group.Group) Record {
	next := r.clone()
	for p, reason := range seen.Suspended {
		if next.Ours[p] == "" {
			next.Before[p] = reason
		}
	}
	for _, p := range r.Missing(seen) {
		delete(next.Before, p) // it was resumed meanwhile
		next.Ours[p] = Intent(seen.At)
	}
	return next
}

// Recognise is the record after the suspension, by what AWS shows then. A reason with a
// time from the intent on is the holder's, any other one a stranger's. It is settled
// once no intent is left that may be shown yet.
func (r Record) Recognise(seen group.Group) (next Record, settled bool) {
	next, settled = r.clone(), true
	for p, claim := range r.Ours {
		at, intended := claim.intent()
		reason, suspended := seen.Suspended[p]
		switch {
		case !intended:
		case suspended && within(reason, at, at.Add(Horizon)):
			next.Ours[p] = Claim(reason)
		case !seen.At.After(at.Add(Horizon)): // AWS may still answer what was before
			settled = false
		case suspended:
			delete(next.Ours, p)
			next.Before[p] = reason
		default: // someone has resumed it
			delete(next.Ours, p)
		}
	}
	return next, settled
}

// within reports whether a reason has a time from one moment to another.
func within(reason string, from, to time.Time) bool {
	at, ok := timeOf(reason)
	return ok && !at.Before(from) && !at.After(to)
}

// before reports whether a reason has a time before that.
func before(reason string, than time.Time) bool {
	at, ok := timeOf(reason)
	return ok && at.Before(than)
}

// timeOf is the time of a reason such as "User suspended at 2026-04-12T21:57:43Z". The
// wording is not documented, only seen: any last word counts that is a time.
func timeOf(reason string) (time.Time, bool) {
	words := strings.Fields(reason)
	if len(words) == 0 {
		return time.Time{}, false
	}
	at, err := time.Parse(time.RFC3339, words[len(words)-1])
	return at, err == nil
}

// Left is a process of the record that is not resumed, and why.
type Left struct {
	Process group.Process `json:"process"`
	Why     string        `json:"why"`
}

// Undo says what to resume, by what AWS shows: what has still the reason that was kept,
// and what was intended and then suspended within a minute. All else is left alone.
//
// What is not shown as suspended is resumed all the same while AWS may still answer what
// was before. An intent stays open for as long, so that a call that was cut off and
// reaches AWS late is noticed; but not where the call was answered.
func (r Record) Undo(seen group.Group, answered bool) (resume []group.Process, left []Left, open bool) {
	leave := func(p group.Process, format string, args ...any) {
		left = append(left, Left{p, fmt.Sprintf(format, args...)})
	}
	for _, p := range slices.Sorted(maps.Keys(r.Ours)) {
		claim := r.Ours[p]
		at, intended := claim.since()
		early := !at.IsZero() && !seen.At.After(at.Add(Horizon))
		reason, suspended := seen.Suspended[p]
		switch {
		case suspended && (!intended && reason == string(claim) || intended && within(reason, at, at.Add(Horizon))):
			resume = append(resume, p)
		case suspended && early && before(reason, at):
			open = true
		case suspended:
			leave(p, "someone else suspended it: %s", reason)
		case early:
			resume = append(resume, p)
			open = open || intended && !answered
		case intended:
			leave(p, "it is not suspended")
		default:
			leave(p, "someone has resumed it")
		}
	}
	for _, p := range slices.Sorted(maps.Keys(r.Before)) {
		if reason, suspended := seen.Suspended[p]; suspended && r.Ours[p] == "" {
			leave(p, "someone else suspended it: %s", reason)
		}
	}
	return resume, left, open
}

// Release is the record once everything is put back.
func (r Record) Release() Record {
	r.State, r.Before, r.Ours, r.Want = Released, nil, nil, nil
	return r
}

// Lacking are the wanted processes that are not suspended, in what AWS shows.
func (r Record) Lacking(seen group.Group) (lacking []group.Process) {
	for _, p := range r.Want {
		if _, is := seen.Suspended[p]; !is {
			lacking = append(lacking, p)
		}
	}
	return lacking
}

// HeldError is a group that someone keeps still already.
type HeldError struct {
	Record Record
	Now    time.Time // by the store's clock
}

// Over reports whether the holder's lease has ended.
func (e *HeldError) Over() bool { return !e.Now.Before(e.Record.Until) }

// Error says who, why and until when.
func (e *HeldError) Error() string {
	r := e.Record
	text := fmt.Sprintf("group %s is held by %s", r.Group, r.Holder)
	if e.Over() {
		text = fmt.Sprintf("group %s was held by %s", r.Group, r.Holder)
	}
	if r.Reason != "" {
		text += " (" + r.Reason + ")"
	}
	if e.Over() {
		return fmt.Sprintf("%s, whose lease ended at %s, and was not put back", text, r.Until.Format(time.RFC3339))
	}
	return fmt.Sprintf("%s until %s, fence %d", text, r.Until.Format(time.RFC3339), r.Fence)
}

// Advice is what to do about it.
func (e *HeldError) Advice() string {
	if e.Over() {
		return fmt.Sprintf("koboshi guard repair --group %s puts the group back; it waits for a minute after the lease", e.Record.Group)
	}
	return "wait until it is released: koboshi guard status shows its lease; where its holder is known to be dead, koboshi guard repair --force"
}
