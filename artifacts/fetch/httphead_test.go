package fetch

import (
	"fmt"
	"testing"
)

// What is accepted is one spelling of a range inside an object.
func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"bytes 0-9/10", "bytes 5-5/6", "bytes 0-9/*", "bytes */10", "bytes 9-0/10", "bytes -1-9/10", "bytes 0-10/10", "items 0-9/10", "", "bytes 0-9223372036854775806/9223372036854775807"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		from, to, size, err := parseContentRange(s)
		if err != nil {
			return
		}
		if from < 0 || from > to || to >= size {
			t.Errorf("%q: %d-%d of %d", s, from, to, size)
		}
		again := fmt.Sprintf("bytes %d-%d/%d", from, to, size)
		if f2, t2, s2, err := parseContentRange(again); err != nil || f2 != from || t2 != to || s2 != size {
			t.Errorf("%q and %q differ: %v", s, again, err)
		}
	})
}
