package lease

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
)

// surveyors is how many requests of a survey are under way at once.
const surveyors = 32

// wholeLister is a table that can list all of its ids for fewer calls than there are
// shards.
type wholeLister interface {
	ListAll(ctx context.Context) ([]Stored, error)
}

// Survey reads all ids from first to last that have something stored, in order. seen, nil
// = none, gets how many requests were made, first of lists and then of items, and of how
// many, one call at a time. Any error of the table ends it: half a survey does not say
// what is held.
func Survey(ctx context.Context, t Table, first, last int, seen func(done, all int)) ([]Stored, error) {
	found, err := listSeen(ctx, t, first, last, seen)
	if err != nil {
		return nil, err
	}
	if err := readItems(ctx, t, found, seen); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(found, func(s Stored) bool { return !s.Exists }), nil // deleted by hand meanwhile
}

// listRange lists the ids from first to last, in order.
func listRange(ctx context.Context, t Table, first, last int) ([]Stored, error) {
	return listSeen(ctx, t, first, last, nil)
}

func listSeen(ctx context.Context, t Table, first, last int, seen func(done, all int)) (found []Stored, err error) {
	if whole, ok := t.(wholeLister); ok && last/t.ShardSize() > first/t.ShardSize() {
		found, err = whole.ListAll(ctx)
	} else {
		found, err = listShards(ctx, t, first/t.ShardSize(), last/t.ShardSize(), seen)
	}
	found = slices.DeleteFunc(found, func(s Stored) bool { return s.ID < first || s.ID > last })
	slices.SortFunc(found, func(a, b Stored) int { return cmp.Compare(a.ID, b.ID) })
	return found, err
}

func listShards(ctx context.Context, t Table, first, last int, seen func(done, all int)) (found []Stored, err error) {
	var mu sync.Mutex
	err = each(ctx, last-first+1, seen, func(ctx context.Context, i int) error {
		listed, err := t.List(ctx, first+i)
		mu.Lock()
		defer mu.Unlock()
		found = append(found, listed...)
		return err
	})
	return found, err
}

// readItems reads the items that the lists have left out, in place.
func readItems(ctx context.Context, t Table, found []Stored, seen func(done, all int)) error {
	return each(ctx, len(found), seen, func(ctx context.Context, i int) error {
		if !found[i].unread() {
			return nil
		}
		return readItem(ctx, t, &found[i])
	})
}

// unread reports whether a list has left out the item.
func (s Stored) unread() bool { return s.Exists && s.Item == nil && s.Bad == nil }

func readItem(ctx context.Context, t Table, listed *Stored) error {
	s, err := t.Get(ctx, listed.ID)
	if err != nil {
		return fmt.Errorf("id %d: %w", listed.ID, err)
	}
	if s.Modified.IsZero() {
		s.Modified = listed.Modified
	}
	*listed = s
	return nil
}

// each does n things, some at once, up to the first error.
func each(ctx context.Context, n int, seen func(done, all int), do func(ctx context.Context, i int) error) error {
	group, until := errgroup.WithContext(ctx)
	group.SetLimit(surveyors)
	var mu sync.Mutex
	done := 0
	for i := 0; i < n && until.Err() == nil; i++ {
		group.Go(func() error {
			err := do(until, i)
			mu.Lock()
			defer mu.Unlock()
			if done++; err == nil && seen != nil {
				seen(done, n)
			}
			return err
		})
	}
	return cmp.Or(group.Wait(), ctx.Err())
}
