package guard

import (
	"errors"
	"testing"
)

func TestUnsafe(t *testing.T) {
	reasons := func(codes ...Code) GroupReasons {
		g := GroupReasons{Group: "web", Safe: len(codes) == 0}
		for _, code := range codes {
			g.Reasons = append(g.Reasons, Reason{Code: code, Text: "it is so"})
		}
		return g
	}
	for name, tt := range map[string]struct {
		all  []GroupReasons
		kind error
		hint string
	}{
		"one that passes": {[]GroupReasons{reasons(), reasons(Refresh)}, ErrNotQuiet,
			"wait until the group has come to rest, or longer: --wait; accept it with --allow refresh (koboshi help deploys)"},
		"each code once": {[]GroupReasons{reasons(Transition, Capacity, Transition), reasons(Capacity)}, ErrNotQuiet,
			"wait until the group has come to rest, or longer: --wait; accept it with --allow transition,capacity (koboshi help deploys)"},
		"one that does not pass": {[]GroupReasons{reasons(Refresh), reasons(Suspended)}, ErrNotSafe,
			"waiting does not help: end what is in the way, or accept it with --allow refresh,suspended (koboshi help deploys)"},
	} {
		t.Run(name, func(t *testing.T) {
			got := Unsafe(tt.all)
			if !errors.Is(got, tt.kind) || got.Advice() != tt.hint {
				t.Errorf("%v: %s", got.Kind, got.Advice())
			}
		})
	}
	if got := Unsafe([]GroupReasons{reasons(), reasons()}); got != nil {
		t.Errorf("quiet groups: %v", got)
	}
	odd := &ReasonsError{ErrNotSafe, []GroupReasons{reasons("")}} // one that --allow cannot name
	if got := odd.Advice(); got != "find out what changes the group meanwhile: CloudTrail has its calls" {
		t.Error(got)
	}
}
