package lease_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"koboshi/agent/lease"
	"koboshi/agent/lease/leasetest"
)

// deadID is id 7, held by i-1 from now for an hour, as a survey has seen it.
func deadID(t *testing.T, kind leasetest.Kind) (*leasetest.Memory, lease.Stored, lease.Tenure) {
	t.Helper()
	m := leasetest.NewMemory(kind, "web")
	item, tenure, err := lease.Claimant{Owner: "i-1", Nonce: lease.Nonce{1}}.Claim("web", 7, nil, terms, time.Now().UnixMilli())
	if err != nil {
		t.Fatal(err)
	}
	if _, err = m.Swap(t.Context(), lease.Stored{ID: 7}, item); err != nil {
		t.Fatal(err)
	}
	seen, err := m.Get(t.Context(), 7)
	if err != nil || seen.Item == nil {
		t.Fatalf("%+v, %v", seen, err)
	}
	return m, seen, tenure
}

var terms = lease.Terms{Lease: 3_600_000, Slack: 300_000}

// An operator's word frees an id and changes nothing else: the next holder stays above
// the mark, and the old one finds its lease lost.
func TestFreeDead(t *testing.T) {
	for _, kind := range []leasetest.Kind{leasetest.Objects, leasetest.Rows} {
		m, seen, tenure := deadID(t, kind)
		now := time.Now().Add(time.Minute)
		freed, err := lease.FreeDead(t.Context(), m, seen, "i-1", now)
		want := *seen.Item
		want.State, want.Written = lease.Free, now.UTC().Truncate(time.Second)
		if err != nil || freed != want || m.Items()[7] != want {
			t.Errorf("%v; freed as\n%+v, stored\n%+v, want\n%+v", err, freed, m.Items()[7], want)
		}
		if _, err := tenure.Renew(freed, terms, now.UnixMilli()); !errors.Is(err, lease.ErrLost) {
			t.Errorf("the old holder renews: %v", err)
		}
		if _, err := tenure.Release(freed, now.UnixMilli()); !errors.Is(err, lease.ErrLost) {
			t.Errorf("the old holder releases: %v", err)
		}
		_, next, err := lease.Claimant{Owner: "i-2", Nonce: lease.Nonce{2}}.Claim("web", 7, &freed, terms, now.UnixMilli())
		if err != nil || next.Floor != tenure.Until+terms.Slack || next.Gen != 2 {
			t.Errorf("the next tenure is %+v (%v), want its floor at %d", next, err, tenure.Until+terms.Slack)
		}
	}
}

func TestNotFreed(t *testing.T) {
	m, seen, _ := deadID(t, leasetest.Objects)
	free := seen
	free.Item = &lease.Item{State: lease.Free, Owner: "i-1"}
	for name, tt := range map[string]struct {
		seen  lease.Stored
		owner string
		want  error
		says  string
	}{
		"another's":   {seen, "i-2", lease.ErrOwner, "the id is held by another instance, i-1"},
		"no owner":    {seen, "", lease.ErrOwner, "the id is held by another instance, i-1"},
		"free":        {free, "i-1", lease.ErrFree, "the id is free already"},
		"never given": {lease.Stored{ID: 7}, "i-1", lease.ErrFree, "the id is free already: it was never given"},
		"no item":     {lease.Stored{ID: 7, Exists: true, Bad: lease.ErrItem}, "i-1", lease.ErrItem, lease.ErrItem.Error()},
	} {
		if _, err := lease.FreeDead(t.Context(), m, tt.seen, tt.owner, time.Now()); !errors.Is(err, tt.want) || err.Error() != tt.says {
			t.Errorf("%s: %v", name, err)
		}
	}
	if m.Items()[7] != *seen.Item || m.Calls(leasetest.Swap) != 1 {
		t.Errorf("something was written: %+v", m.Items()[7])
	}
}

// What happens between the operator's look and the write, and an answer that is lost.
func TestFreeMeanwhile(t *testing.T) {
	broken := errors.New("broken")
	swap := func(t *testing.T, m *leasetest.Memory, next func(lease.Item) lease.Item) {
		t.Helper()
		seen, err := m.Get(t.Context(), 7)
		if err == nil {
			_, err = m.Swap(t.Context(), seen, next(*seen.Item))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, tt := range map[string]struct {
		meanwhile func(*testing.T, *leasetest.Memory, lease.Tenure)
		want      error
		state     lease.State
	}{
		"its answer is lost": {func(_ *testing.T, m *leasetest.Memory, _ lease.Tenure) {
			m.Fail(leasetest.Fault{Op: leasetest.Swap, Err: leasetest.ErrLostAnswer, Applied: true})
		}, nil, lease.Free},
		"it is lost itself": {func(_ *testing.T, m *leasetest.Memory, _ lease.Tenure) {
			m.Fail(leasetest.Fault{Op: leasetest.Swap, Err: leasetest.ErrLostAnswer})
		}, leasetest.ErrLostAnswer, lease.Held},
		"nothing can be read then": {func(_ *testing.T, m *leasetest.Memory, _ lease.Tenure) { m.Down(broken) }, broken, lease.Held},
		"the instance is alive": {func(t *testing.T, m *leasetest.Memory, tenure lease.Tenure) {
			swap(t, m, func(i lease.Item) lease.Item {
				i, err := tenure.Renew(i, terms, i.HW)
				if err != nil {
					t.Error(err)
				}
				return i
			})
		}, lease.ErrRenewed, lease.Held},
		"another operator was faster": {func(t *testing.T, m *leasetest.Memory, _ lease.Tenure) {
			swap(t, m, func(i lease.Item) lease.Item { i.State = lease.Free; return i })
		}, nil, lease.Free},
		"it has released by itself": {func(t *testing.T, m *leasetest.Memory, _ lease.Tenure) {
			swap(t, m, func(i lease.Item) lease.Item { i.State, i.HW, i.Slack = lease.Free, i.HW-1, 0; return i })
		}, lease.ErrChanged, lease.Free},
		"it was given again": {func(t *testing.T, m *leasetest.Memory, _ lease.Tenure) {
			swap(t, m, func(i lease.Item) lease.Item { i.Gen, i.Nonce, i.HW = 2, lease.Nonce{2}, i.HW+1; return i })
		}, lease.ErrChanged, lease.Held},
		"it was deleted by hand": {func(_ *testing.T, m *leasetest.Memory, _ lease.Tenure) { m.Drop(7) }, lease.ErrChanged, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m, seen, tenure := deadID(t, leasetest.Objects)
			tt.meanwhile(t, m, tenure)
			_, err := lease.FreeDead(context.WithoutCancel(t.Context()), m, seen, "i-1", time.Now())
			if !errors.Is(err, tt.want) || tt.want == nil && err != nil {
				t.Errorf("%v, want %v", err, tt.want)
			}
			if got := m.Items()[7].State; got != tt.state {
				t.Errorf("it is %q, want %q", got, tt.state)
			}
		})
	}
}
