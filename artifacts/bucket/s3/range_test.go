package s3

import (
	"fmt"
	"testing"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
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
		var object bucket.Object
		r := bucket.Range{Offset: max(offset, 0), Length: max(length, 0) % (1 << 62)}
		r.Offset %= 1 << 62
		if place(&object, s, got, r) != nil || whole(r) {
			return
		}
		if first != r.Offset || got != last-first+1 || r.Length > 0 && got > r.Length || got != r.Length && last != size-1 {
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

func TestPartSize(t *testing.T) {
	for _, size := range []int64{partBytes + 1, 100 << 20, partBytes * maxParts, partBytes*maxParts + 1, artifacts.MaxArtifactBytes} {
		each := partSize(size)
		if parts := (size + each - 1) / each; parts < 2 || parts > maxParts || each < partBytes || each > 5<<30 {
			t.Errorf("%d bytes: %d parts of %d, which S3 does not take", size, parts, each)
		}
	}
}
