package instance

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const (
	spotPath      = "/latest/meta-data/spot/instance-action"
	rebalancePath = "/latest/meta-data/events/recommendations/rebalance"
)

var noticed = time.Date(2026, 11, 21, 10, 2, 0, 0, time.UTC)

func TestSpotAction(t *testing.T) {
	tests := map[string]struct {
		page string
		want SpotAction
		err  error
	}{
		"terminate":     {`{"action": "terminate", "time": "2026-11-21T10:02:00Z"}`, SpotAction{"terminate", noticed}, nil},
		"hibernate":     {`{"action":"hibernate","time":"2026-11-21T10:02:00Z","more":{}}`, SpotAction{"hibernate", noticed}, nil},
		"another word":  {`{"action":"explode","time":"2026-11-21T10:02:00Z"}`, SpotAction{}, ErrMalformed},
		"without time":  {`{"action":"stop"}`, SpotAction{}, ErrMalformed},
		"a number":      {`{"action":"stop","time":7}`, SpotAction{}, ErrMalformed},
		"torn":          {`{"action":"stop","ti`, SpotAction{}, ErrMalformed},
		"nothing":       {"", SpotAction{}, ErrMalformed},
		"a page":        {"<html>", SpotAction{}, ErrMalformed},
		"absurdly long": {`{"action":"stop","time":"2026-11-21T10:02:00Z","more":"` + strings.Repeat("a", maxDocument) + `"}`, SpotAction{}, ErrMalformed},
	}
	for name, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			s := newService()
			s.pages[spotPath] = tt.page
			if got, err := s.memory().SpotAction(t.Context()); got != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("%s: SpotAction = %+v, %v, want %+v, %v", name, got, err, tt.want, tt.err)
			}
		})
	}
}

func TestRebalance(t *testing.T) {
	for page, want := range map[string]time.Time{
		`{"noticeTime": "2026-11-21T10:02:00Z"}`: noticed,
		`{}`:                                     {},
		`[]`:                                     {},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newService()
			s.pages[rebalancePath] = page
			if got, err := s.memory().Rebalance(t.Context()); !got.Equal(want) || errors.Is(err, ErrMalformed) != want.IsZero() {
				t.Errorf("%s: Rebalance = %v, %v", page, got, err)
			}
		})
	}
}

func TestNoNotice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newService().memory()
		action, err := m.SpotAction(t.Context())
		when, err2 := m.Rebalance(t.Context())
		if action != (SpotAction{}) || !when.IsZero() || err != nil || err2 != nil {
			t.Errorf("%+v, %v and %v, %v, want nothing and no error", action, err, when, err2)
		}
	})
}

func TestANoticeWhileMetadataIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		s.down = func(time.Duration) error { return refused() }
		if _, err := s.memory().SpotAction(t.Context()); !errors.Is(err, ErrUnreachable) {
			t.Errorf("SpotAction: %v, want ErrUnreachable", err)
		}
	})
}
