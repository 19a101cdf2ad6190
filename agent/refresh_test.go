package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/agent/group"
	"koboshi/agent/refresh"
)

// refreshes answers Refreshes in turn, the last one for ever, and notes what is called.
type refreshes struct {
	group   group.Group
	answers []any // group.Refresh, an error, or nil: no refresh is shown
	looks   []time.Time
	did     []string
	fails   error // of what changes something
}

func (f *refreshes) Describe(context.Context, string) (group.Group, error) { return f.group, nil }

func (f *refreshes) Refreshes(ctx context.Context, name string, _ ...string) ([]group.Refresh, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	f.looks = append(f.looks, time.Now())
	switch a := f.answers[min(len(f.looks), len(f.answers))-1].(type) {
	case group.Refresh:
		return []group.Refresh{a}, nil
	case error:
		return nil, fmt.Errorf("look at %s: %w", name, a)
	}
	return nil, nil
}

func (f *refreshes) StartRefresh(context.Context, string, group.RefreshOptions) (string, error) {
	f.did = append(f.did, "start")
	return "r-1", f.fails
}

func (f *refreshes) CancelRefresh(context.Context, string) error {
	f.did = append(f.did, "cancel")
	return f.fails
}

func (f *refreshes) RollbackRefresh(context.Context, string) error {
	f.did = append(f.did, "rollback")
	return f.fails
}

func status(s string) group.Refresh { return group.Refresh{ID: "r-1", Status: s} }

func TestRefreshIsFollowed(t *testing.T) {
	down := fmt.Errorf("%w", group.ErrUnavailable)
	for name, test := range map[string]struct {
		answers []any
		seen    string
		is      error
		took    time.Duration
	}{
		"to its end":                 {[]any{status("Pending"), status("InProgress"), status("Baking"), status("Successful")}, "Pending InProgress Baking Successful", nil, 7 * time.Second},
		"it lags":                    {[]any{nil, nil, status("Successful")}, "Successful", nil, 3 * time.Second},
		"another one is shown first": {[]any{group.Refresh{ID: "r-0", Status: "Failed"}, status("Successful")}, "Successful", nil, time.Second},
		"a new word is active":       {[]any{status("Simmering"), status("Successful")}, "Simmering Successful", nil, time.Second},
		"AWS is away for a while":    {append([]any{status("InProgress")}, append(slices.Repeat([]any{down}, 50), status("Successful"))...), "InProgress Successful", nil, 485 * time.Second},
		"AWS is away":                {[]any{status("InProgress"), down}, "InProgress", group.ErrUnavailable, 10*time.Minute + 5*time.Second},
		"it is never shown":          {[]any{nil}, "", group.ErrNoRefresh, 10*time.Minute + 5*time.Second},
		"denied":                     {[]any{group.ErrDenied}, "", group.ErrDenied, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			var seen []string
			f := &refreshes{answers: test.answers}
			r := Refresher{Scaling: f, Group: "web", Observe: func(r group.Refresh) { seen = append(seen, r.Status) }}
			began := time.Now()
			last, err := r.Follow(t.Context(), "r-1", "Successful")
			if took := time.Since(began); !errors.Is(err, test.is) || err == nil && last.Status != "Successful" || strings.Join(seen, " ") != test.seen || took != test.took {
				t.Errorf("%s: %q, %+v, %v after %s, want %q, %v after %s", name, seen, last, err, took, test.seen, test.is, test.took)
			}
		})
	}
}

// It is looked at often in the beginning, and every ten seconds in the end.
func TestRefreshIsLookedAtSparingly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &refreshes{answers: append(slices.Repeat([]any{status("InProgress")}, 400), status("Successful"))}
		r := Refresher{Scaling: f, Group: "web", Observe: func(group.Refresh) {}}
		began := time.Now()
		if _, err := r.Follow(t.Context(), "r-1", "Successful"); err != nil {
			t.Fatal(err)
		}
		if first, whole := f.looks[1].Sub(began), time.Since(began); first != time.Second || whole < 65*time.Minute {
			t.Errorf("the second look after %s, 401 within %s", first, whole)
		}
	})
}

func TestRefreshEndsOtherwise(t *testing.T) {
	for _, end := range []string{"Failed", "Cancelled", "RollbackSuccessful", "RollbackFailed"} {
		r := Refresher{Scaling: &refreshes{answers: []any{status(end)}}, Group: "web", Observe: func(group.Refresh) {}}
		_, err := r.Follow(t.Context(), "r-1", "Successful")
		if e, ok := errors.AsType[*refresh.EndedError](err); !ok || e.Refresh.Status != end {
			t.Errorf("%s: %v", end, err)
		}
		if last, err := r.Follow(t.Context(), "r-1", end); err != nil || last.Status != end {
			t.Errorf("%s as wanted: %v", end, err)
		}
	}
}

func TestRefreshIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		f := &refreshes{answers: []any{status("InProgress")}}
		r := Refresher{Scaling: f, Group: "web", Observe: func(group.Refresh) {}}
		if last, err := r.Follow(ctx, "r-1", "Successful"); !errors.Is(err, context.DeadlineExceeded) || last.Status != "InProgress" || len(f.did) > 0 {
			t.Errorf("%+v, %v, %v", last, err, f.did)
		}
	})
}

// What does not fit is not started, and neither is a second one.
func TestRefreshIsNotStarted(t *testing.T) {
	numbered := group.Template{ID: "lt-1", Version: "7"}
	for _, test := range []struct {
		f    refreshes
		want string
	}{
		{refreshes{group: group.Group{Name: "web", Suspended: map[group.Process]string{group.Launch: ""}}, answers: []any{nil}}, "Launch is suspended"},
		{refreshes{answers: []any{status("InProgress")}}, "an instance refresh is active already, InProgress"},
		{refreshes{answers: []any{status("Simmering")}}, "an instance refresh is active already, Simmering"},
		{refreshes{answers: []any{group.ErrUnavailable}}, "AWS did not answer"},
		{refreshes{answers: []any{nil}}, ""},
		{refreshes{answers: []any{status("Cancelled")}}, ""},
		{refreshes{answers: []any{nil}, fails: group.ErrRefreshing}, "an instance refresh is active already"},
	} {
		r := Refresher{Scaling: &test.f, Group: "web"}
		id, err := r.Start(t.Context(), group.RefreshOptions{Template: &numbered})
		switch started := slices.Equal(test.f.did, []string{"start"}); {
		case test.want == "" && (err != nil || id != "r-1" || !started):
			t.Errorf("%q, %v", id, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || started != (test.f.fails != nil)):
			t.Errorf("%v, want %q; %v", err, test.want, test.f.did)
		}
	}
}

// An answer that was lost has the client ask again, and then the refresh is its own.
func TestRefreshWhoseAnswerWasLost(t *testing.T) {
	seven, eight := group.Template{ID: "lt-1", Version: "7"}, group.Template{ID: "lt-1", Version: "8"}
	at := time.Date(2026, 11, 29, 1, 2, 3, 0, time.UTC)
	for _, test := range []struct {
		shown group.Refresh
		want  bool
	}{
		{group.Refresh{ID: "r-9", Status: "Pending", Started: at, Desired: &seven}, true},
		{group.Refresh{ID: "r-9", Status: "Pending", Started: at, Desired: &eight}, false},
		{group.Refresh{ID: "r-9", Status: "Pending", Started: at}, false},
		{group.Refresh{ID: "r-9", Status: "Pending", Started: at, Desired: &seven, AutoRollback: true}, false},
		{group.Refresh{ID: "r-9", Status: "Pending", Started: at.Add(-time.Second), Desired: &seven}, false},
		{group.Refresh{ID: "r-9", Status: "Failed", Started: at, Desired: &seven}, false},
	} {
		f := &refreshes{group: group.Group{Name: "web", At: at}, answers: []any{nil, test.shown}, fails: group.ErrRefreshing}
		r := Refresher{Scaling: f, Group: "web"}
		id, err := r.Start(t.Context(), group.RefreshOptions{Template: &seven})
		if own := id == "r-9" && err == nil; own != test.want || !own && !errors.Is(err, group.ErrRefreshing) {
			t.Errorf("%+v: %q, %v", test.shown, id, err)
		}
	}
}

// The channel is moved for no rollback that AWS would refuse, and no rollback begins
// before it is.
func TestRollbackComesAfterTheChannel(t *testing.T) {
	six, seven := group.Template{ID: "lt-1", Version: "6"}, group.Template{ID: "lt-1", Version: "7"}
	running := group.Refresh{ID: "r-1", Status: "InProgress", Desired: &seven}
	for _, test := range []struct {
		refresh any
		moving  error
		want    string
	}{
		{running, nil, "move rollback"},
		{running, errors.New("someone else has moved it"), "move"},
		{status("InProgress"), nil, ""},
		{status("Successful"), nil, ""},
		{group.Refresh{ID: "r-1", Status: "RollbackInProgress", Desired: &seven}, nil, ""},
		{nil, nil, ""},
		{group.ErrUnavailable, nil, ""},
	} {
		f := &refreshes{group: group.Group{Name: "web", Template: six}, answers: []any{test.refresh}}
		r := Refresher{Scaling: f, Group: "web"}
		id, err := r.Rollback(t.Context(), func(context.Context) error {
			f.did = append(f.did, "move")
			return test.moving
		})
		if whole := test.want == "move rollback"; strings.Join(f.did, " ") != test.want || (err == nil) != whole || (id == "r-1") != whole {
			t.Errorf("%+v: %q, %v, did %v, want %s", test.refresh, id, err, f.did, test.want)
		}
	}
	f := &refreshes{answers: []any{status("Baking")}}
	r := Refresher{Scaling: f, Group: "web"}
	if id, err := r.Cancel(t.Context()); err != nil || id != "r-1" || !slices.Equal(f.did, []string{"cancel"}) {
		t.Errorf("%q, %v, %v", id, err, f.did)
	}
	f.answers = []any{status("Failed")}
	if _, err := r.Cancel(t.Context()); !errors.Is(err, group.ErrNoRefresh) {
		t.Errorf("%v", err)
	}
}
