package buckettest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"koboshi/artifacts/bucket"
)

// Keys checks that keys are taken as they are, and listed as they were given.
func Keys(t *testing.T, b bucket.Bucket) {
	checkKeys(t, b, []string{
		"odd/a b", "odd/a+b", "odd/a%2Fb", "odd/a&b<c>'\"", "odd/a?x=1#y", "odd/a=b;c,d:e@f", "odd/deep/er/still", "odd/deep.er",
		"odd/ümläut-日本-🪆", "odd/ends.", "odd/UPPER", "odd/upper", "odd/" + strings.Repeat("n", 200), "odder",
	})
	if got := keys(t, b, "odd/deep/e"); !slices.Equal(got, []string{"odd/deep/er/still"}) {
		t.Errorf("prefix odd/deep/e: listed %q", got)
	}
	if got := keys(t, b, "even"); len(got) != 0 {
		t.Errorf("prefix of nothing: listed %q", got)
	}
}

// ControlCharacters is the name of the checks that a key may have some.
const ControlCharacters = "control characters"

func controlCharacters(t *testing.T, b bucket.Bucket) {
	checkKeys(t, b, []string{"odd/a\x1b[31m\tb", "odd/b"})
}

// checkKeys puts objects, reads them, and lists them.
func checkKeys(t *testing.T, b bucket.Bucket, want []string) {
	t.Helper()
	for _, key := range want {
		put(t, b, key, "of "+key, bucket.Condition{Absent: true})
	}
	for _, key := range want {
		if got, _ := get(t, b, key, bucket.Range{}); string(got) != "of "+key {
			t.Errorf("%q: got %q", key, got)
		}
	}
	slices.Sort(want)
	if got := keys(t, b, ""); !slices.Equal(got, want) {
		t.Errorf("listed\n%q, want\n%q", got, want)
	}
}

// Paging checks a list that is longer than S3's page of 1,000.
func Paging(t *testing.T, b bucket.Bucket) {
	const count = 1003
	var all sync.WaitGroup
	work := make(chan string)
	for range 8 {
		all.Go(func() {
			for key := range work {
				if _, err := write(t.Context(), b, key, []byte(key), bucket.Condition{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	var want []string
	for i := range count {
		want = append(want, fmt.Sprintf("many/%04d", i))
		work <- want[i]
	}
	close(work)
	all.Wait()
	if got := keys(t, b, "many/"); !slices.Equal(got, want) {
		t.Errorf("listed %d keys, want %d in order", len(got), len(want))
	}
	stopsEarly(t, b)
}

func stopsEarly(t *testing.T, b bucket.Bucket) {
	for object, err := range b.List(t.Context(), "many/") {
		if err != nil || object.Key != "many/0000" || object.Size != 9 || object.ETag == "" || object.Modified.IsZero() {
			t.Errorf("first of the list: got %+v and %v", object, err)
		}
		break
	}
}

// Large checks an object of several parts: its bytes, its conditions, and
// that a write which lost is not stored.
func Large(t *testing.T, b bucket.Bucket) {
	data := pattern(20 << 20)
	first, err := write(t.Context(), b, "large", data, bucket.Condition{Absent: true})
	if err != nil {
		t.Fatal(err)
	}
	if got, object := get(t, b, "large", bucket.Range{}); !bytes.Equal(got, data) || object.ETag != first.ETag {
		t.Errorf("whole: %d bytes with ETag %s differ from what was put with %s", len(got), object.ETag, first.ETag)
	}
	const seam = 16<<20 - 5
	if got, object := get(t, b, "large", bucket.Range{Offset: seam, Length: 10, ETag: first.ETag}); !bytes.Equal(got, data[seam:seam+10]) || object.Size != int64(len(data)) {
		t.Errorf("across a seam: got %x of %d bytes", got, object.Size)
	}
	_, err = write(t.Context(), b, "large", pattern(17<<20), bucket.Condition{Absent: true})
	wantError(t, err, bucket.ErrExists, "large, absent over an object")
	data[0]++
	second, err := write(t.Context(), b, "large", data, bucket.Condition{ETag: first.ETag})
	if err != nil || second.ETag == first.ETag {
		t.Fatalf("large over its ETag: got ETag %s and %v", second.ETag, err)
	}
	_, err = write(t.Context(), b, "large", data, bucket.Condition{ETag: first.ETag})
	wantError(t, err, bucket.ErrChanged, "large over an ETag that is gone")
	if got, _ := get(t, b, "large", bucket.Range{Length: 1}); got[0] != data[0] {
		t.Error("after refused writes the object has other bytes")
	}
}

// pattern is size bytes no two blocks of which are alike.
func pattern(size int) []byte {
	data := make([]byte, size)
	x := uint32(1)
	for i := range data {
		x = x*1664525 + 1013904223
		data[i] = byte(x >> 24)
	}
	return data
}

// keys lists or ends the test.
func keys(t *testing.T, b bucket.Bucket, prefix string) []string {
	t.Helper()
	var all []string
	for object, err := range b.List(t.Context(), prefix) {
		if err != nil {
			t.Fatalf("list %q: %v", prefix, err)
		}
		all = append(all, object.Key)
	}
	return all
}
