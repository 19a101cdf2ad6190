package census

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"koboshi/artifacts/bucket"
)

// MaxRecords is how many objects a survey looks at: what has more is not read in part.
// At most so many instances are kept in memory, some 200 bytes each.
const MaxRecords = 100_000

// ErrTooMany is a survey with more than MaxRecords objects.
var ErrTooMany = errors.New("too many health records")

// lister is the part of a bucket that a survey needs.
type lister interface {
	List(ctx context.Context, prefix string) iter.Seq2[bucket.Object, error]
}

// Found is the newest record of one instance, as a list shows it.
type Found struct {
	Subject
	ETag     string
	Modified time.Time // by the store's clock
}

// newer reports whether f was written after g.
func (f Found) newer(g Found) bool {
	return cmp.Or(f.Modified.Compare(g.Modified), cmp.Compare(badness[f.State], badness[g.State]), strings.Compare(f.Key(), g.Key())) > 0
}

// Listing is a survey's result.
type Listing struct {
	Newest  []Found   // one an instance, by its id
	Lost    []Found   // the failures of instances that are gone by now
	Foreign int       // objects that are no record, such as of another program
	Date    time.Time // the store's clock when it answered; zero where it has none, or no record
}

// Survey lists the records of a channel, "" = of all, and keeps the newest of each
// instance: one that goes on to another release, or another channel, leaves the older
// record where it is. Errors are the bucket's, and ErrTooMany.
func Survey(ctx context.Context, b lister, channel string) (l Listing, err error) {
	newest, serving := map[string]Found{}, map[string]Found{} // serving: that of a drain left aside
	objects := 0
	for object, err := range b.List(ctx, prefixOf(channel)) {
		if err != nil {
			return Listing{}, err
		}
		if objects++; objects > MaxRecords {
			return Listing{}, fmt.Errorf("%w: more than %d below %s", ErrTooMany, MaxRecords, prefixOf(channel))
		}
		if object.Date.After(l.Date) {
			l.Date = object.Date
		}
		s, ok := ParseKey(strings.Clone(object.Key)) // a page of the answer is not kept for one of its keys
		if !ok {
			l.Foreign++
			continue
		}
		f := Found{s, object.ETag, object.Modified.UTC()}
		if was, seen := newest[s.Instance]; !seen || f.newer(was) {
			newest[s.Instance] = f
		}
		if was, seen := serving[s.Instance]; s.State != Gone && (!seen || f.newer(was)) {
			serving[s.Instance] = f
		}
	}
	l.Newest = make([]Found, 0, len(newest))
	for _, f := range newest {
		l.Newest = append(l.Newest, f)
		if last := serving[f.Instance]; f.State == Gone && last.State == Failed {
			l.Lost = append(l.Lost, last)
		}
	}
	byInstance := func(f, g Found) int { return strings.Compare(f.Instance, g.Instance) }
	slices.SortFunc(l.Newest, byInstance)
	slices.SortFunc(l.Lost, byInstance)
	return l, nil
}

// Only keeps the records of a channel. Members whose newest record is another channel's are
// deleted from the map, which may be nil.
func (l Listing) Only(channel string, members map[string]Member) Listing {
	others := func(f Found) bool { return f.Channel != channel }
	for _, f := range l.Newest {
		if others(f) {
			delete(members, f.Instance)
		}
	}
	l.Newest, l.Lost = slices.DeleteFunc(l.Newest, others), slices.DeleteFunc(l.Lost, others)
	return l
}

// Put stores a record. It has no condition: the last one counts.
func Put(ctx context.Context, b bucket.Bucket, r Record) error {
	text, err := r.Encode()
	if err != nil {
		return err
	}
	_, err = b.Put(ctx, r.Subject().Key(), bytes.NewReader(text), int64(len(text)), bucket.Condition{})
	return err
}

// Probe tries whether an instance may write its records, by a write whose condition never
// holds. Only a store that ignores conditions keeps it: a small object, one an instance.
func Probe(ctx context.Context, b bucket.Bucket, instance string) error {
	if err := checkInstance(instance); err != nil {
		return err
	}
	const text = "a probe of koboshi doctor, which the store should have refused; it may be deleted\n"
	_, err := b.Put(ctx, Directory+"probe-"+instance, strings.NewReader(text), int64(len(text)), bucket.Condition{ETag: bucket.NoObject, Once: true})
	if errors.Is(err, bucket.ErrChanged) || errors.Is(err, bucket.ErrConflict) {
		return nil
	}
	return err
}
