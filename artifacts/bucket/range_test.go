package bucket

import (
	"fmt"
	"testing"
)

func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"bytes 0-9/10", "bytes 5-5/10", "bytes 0-9/*", "bytes */10", "bytes 9-0/10", "bytes 0-10/10", "bytes -1-9/10",
		"bytes +0-9/10", "bytes 0-9", "items 0-9/10", "bytes 0-9223372036854775807/9223372036854775807", "bytes 0-9/99999999999999999999", "bytes  0-9/10", "", "bytes 00-09/010"} {
		f.Add(s, int64(0), int64(10), int64(10))
	}
	f.Add("bytes 3-6/10", int64(3), int64(4), int64(4))
	f.Fuzz(func(t *testing.T, s string, offset, length, got int64) {
		first, last, size, ok := parseContentRange(s)
		if ok && (first < 0 || first > last || last >= size) {
			t.Fatalf("%q was read as %d-%d of %d", s, first, last, size)
		}
		if again := fmt.Sprintf("bytes %d-%d/%d", first, last, size); ok {
			if f, l, n, ok := parseContentRange(again); !ok || f != first || l != last || n != size {
				t.Fatalf("%q was read as %q, which is read otherwise", s, again)
			}
		}
		r := Range{Offset: max(offset, 0), Length: max(length, 0) % (1 << 62)}
		r.Offset %= 1 << 62
		answered, err := r.Answered(false, s, max(got, 0))
		if err != nil {
			return
		}
		got = max(got, 0)
		if answered != size || first != r.Offset || got != last-first+1 || r.Length > 0 && got > r.Length || got != r.Length && last != size-1 {
			t.Fatalf("range %+v took %d bytes of %q", r, got, s)
		}
	})
}

func TestContentRangeThatIsNone(t *testing.T) {
	for _, s := range []string{"", "bytes", "bytes 0-9", "bytes 0-9/", "bytes 0-9/*", "bytes */10", "bytes 9-0/10", "bytes 0-10/10", "bytes -1-9/10", "bytes +0-9/10",
		"bytes 0-+9/10", "bytes 0-9/+10", "bytes 0-9/10/10", "bytes  0-9/10", "Bytes 0-9/10", "items 0-9/10", "bytes 0-9/9223372036854775808", "bytes 0x0-9/10"} {
		if first, last, size, ok := parseContentRange(s); ok {
			t.Errorf("%q was read as %d-%d of %d", s, first, last, size)
		}
	}
}

func TestRangeOf(t *testing.T) {
	for _, c := range []struct{ offset, length, size, want int64 }{
		{0, 0, 10, 10}, {0, 0, 0, 0}, {3, 0, 10, 7}, {3, 4, 10, 4}, {3, 1 << 40, 10, 7}, {9, 1, 10, 1}, {0, 5, 3, 3},
		{10, 0, 10, -1}, {10, 1, 10, -1}, {0, 1, 0, -1}, {-1, 1, 10, -1}, {0, -1, 10, -1}, {1, 1<<63 - 1, 10, -1},
	} {
		got, err := Range{Offset: c.offset, Length: c.length}.Of(c.size)
		if (err != nil) != (c.want < 0) || err == nil && got != c.want {
			t.Errorf("%+v: got %d and %v", c, got, err)
		}
	}
}

// A whole object is taken for a range only where that is the same.
func TestWholeAnswers(t *testing.T) {
	for _, c := range []struct {
		offset, length int64
		contentRange   string
		got            int64
		ok             bool
	}{
		{0, 0, "", 10, true}, {0, 0, "", 0, true}, {0, 10, "", 10, true}, {0, 11, "", 10, true},
		{0, 9, "", 10, false}, {1, 0, "", 10, false}, {1, 9, "", 10, false}, {0, 1, "", 0, false}, {0, 0, "", -1, false}, {0, 0, "bytes 0-9/10", 10, false},
	} {
		size, err := Range{Offset: c.offset, Length: c.length}.Answered(true, c.contentRange, c.got)
		if (err == nil) != c.ok || c.ok && size != c.got {
			t.Errorf("%+v: got %d and %v", c, size, err)
		}
	}
}
