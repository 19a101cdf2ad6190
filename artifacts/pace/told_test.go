package pace

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told Told
		for _, tc := range []struct {
			after time.Duration
			text  string
			want  bool
		}{
			{0, "one is launching", true},
			{5 * time.Second, "one is launching", false},
			{0, "two are launching", true},
			{59 * time.Second, "two are launching", false},
			{time.Second, "two are launching", true},
			{time.Second, "two are launching", false},
			{0, "one is launching", true},
		} {
			if err := Sleep(t.Context(), tc.after); err != nil {
				t.Fatal(err)
			}
			if got := told.Due(tc.text); got != tc.want {
				t.Errorf("%q, %s later: %v, want %v", tc.text, tc.after, got, tc.want)
			}
		}
	})
}
