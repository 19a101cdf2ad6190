package artifacts_test

import (
	"testing"

	"koboshi/artifacts"
)

func TestNearest(t *testing.T) {
	for name, c := range map[string]struct {
		names []string
		want  string
	}{
		"1.4.3":        {[]string{"1.4.2", "1.4.1", "2.0.0"}, "1.4.2"}, // the first of equals
		"2.0.1":        {[]string{"9.0.1", "2.0.0"}, "2.0.0"},          // the beginning weighs more
		"1.42":         {[]string{"1.3.0", "1.4.2"}, "1.4.2"},
		"v1.4.2":       {[]string{"1.4.1", "1.4.2"}, "1.4.2"},
		"1.4":          {[]string{"2.1.0", "1.4.2"}, "1.4.2"},      // how it begins
		"0a1b2c3d4e5f": {[]string{"0a1b2c3", "ffffff"}, "0a1b2c3"}, // so is a short commit
		"9.9.9":        {[]string{"1.4.2", "1.4.1"}, ""},           // nothing right but the dots
		"7":            {[]string{"1", "2"}, "1"},                  // one digit off
		"release-2026": {[]string{"1.4.2", ""}, ""},                // nothing like it
		"":             {[]string{"1.4.2"}, ""},
		"1.4.2-rc1":    {nil, ""},
	} {
		got, ok := artifacts.Nearest(name, c.names)
		if got != c.want || ok != (c.want != "") {
			t.Errorf("%q among %q: got %q, %v, want %q", name, c.names, got, ok, c.want)
		}
	}
}

func TestEdits(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "", 3}, {"", "abc", 3}, {"abc", "abc", 0}, {"kitten", "sitting", 3}, {"1.4.2", "1.42", 1}, {"ab", "ba", 2}} {
		if got := artifacts.Edits(c.a, c.b); got != c.want {
			t.Errorf("%q to %q: %d edits, want %d", c.a, c.b, got, c.want)
		}
	}
}
