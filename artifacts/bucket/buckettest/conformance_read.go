package buckettest

import (
	"context"
	"errors"
	"strings"
	"testing"

	"koboshi/artifacts/bucket"
)

// Ranges checks that every range yields exactly its bytes, and that every
// answer has the size and ETag of the whole object.
func Ranges(t *testing.T, b bucket.Bucket) {
	const text = "0123456789"
	stored := put(t, b, "ranges/ten", text, bucket.Condition{})
	for _, c := range []struct {
		offset, length int64
		want           string
	}{
		{0, 0, text}, {0, 10, text}, {0, 11, text}, {0, 1 << 40, text},
		{0, 1, "0"}, {9, 1, "9"}, {9, 0, "9"}, {9, 5, "9"}, {1, 0, text[1:]}, {3, 4, "3456"}, {5, 5, "56789"}, {5, 6, "56789"},
	} {
		got, object := get(t, b, "ranges/ten", bucket.Range{Offset: c.offset, Length: c.length})
		if string(got) != c.want {
			t.Errorf("range %d+%d: got %q, want %q", c.offset, c.length, got, c.want)
		}
		if object.Size != 10 || object.ETag != stored.ETag || object.Key != "ranges/ten" {
			t.Errorf("range %d+%d: answered %+v, want the whole object's size and ETag %s", c.offset, c.length, object, stored.ETag)
		}
	}
	put(t, b, "ranges/none", "", bucket.Condition{})
	if got, object := get(t, b, "ranges/none", bucket.Range{}); len(got) != 0 || object.Size != 0 {
		t.Errorf("empty object: got %q of %d bytes", got, object.Size)
	}
	badRanges(t, b)
}

func badRanges(t *testing.T, b bucket.Bucket) {
	for _, r := range []bucket.Range{{Offset: 10}, {Offset: 10, Length: 1}, {Offset: 1 << 40, Length: 1}, {Offset: -1, Length: 1}, {Length: -1}} {
		if got, _, err := read(t.Context(), b, "ranges/ten", r); err == nil {
			t.Errorf("range %+v of ten bytes: got %q, want an error", r, got)
		} else {
			wantError(t, err, nil, "range outside of the object")
		}
	}
	if got, _, err := read(t.Context(), b, "ranges/none", bucket.Range{Length: 1}); err == nil {
		t.Errorf("one byte of an empty object: got %q, want an error", got)
	}
	_, _, err := read(t.Context(), b, "ranges/missing", bucket.Range{})
	wantError(t, err, bucket.ErrNotFound, "missing object")
	_, _, err = read(t.Context(), b, "ranges/missing", bucket.Range{Offset: 3, Length: 4})
	wantError(t, err, bucket.ErrNotFound, "range of a missing object")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := read(ctx, b, "ranges/ten", bucket.Range{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v, want context.Canceled", err)
	}
}

// Pins checks that a range pinned to an ETag never yields other bytes.
func Pins(t *testing.T, b bucket.Bucket) {
	first := put(t, b, "pin", "first version", bucket.Condition{})
	pinned := bucket.Range{Offset: 6, Length: 7, ETag: first.ETag}
	if got, object := get(t, b, "pin", pinned); string(got) != "version" || object.ETag != first.ETag {
		t.Errorf("pinned: got %q with ETag %s, want %q with %s", got, object.ETag, "version", first.ETag)
	}
	second := put(t, b, "pin", "other version", bucket.Condition{})
	if second.ETag == first.ETag {
		t.Fatalf("other bytes have the same ETag %s", first.ETag)
	}
	_, _, err := read(t.Context(), b, "pin", pinned)
	wantError(t, err, bucket.ErrChanged, "pinned range of a replaced object")
	_, _, err = read(t.Context(), b, "pin", bucket.Range{ETag: first.ETag})
	wantError(t, err, bucket.ErrChanged, "pinned whole of a replaced object")
	if got, _ := get(t, b, "pin", bucket.Range{ETag: second.ETag}); string(got) != "other version" {
		t.Errorf("pinned whole: got %q", got)
	}
	bodyOutlivesReplacement(t, b)
}

// bodyOutlivesReplacement: a body that was opened ends with the bytes it began
// with, or with an error, never with a mix.
func bodyOutlivesReplacement(t *testing.T, b bucket.Bucket) {
	old, replacement := strings.Repeat("a", 1<<20), strings.Repeat("b", 1<<20)
	put(t, b, "mix", old, bucket.Condition{})
	body, _, err := b.Get(t.Context(), "mix", bucket.Range{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = body.Close() }()
	put(t, b, "mix", replacement, bucket.Condition{})
	rest := make([]byte, len(old))
	for n := 0; n < len(rest); {
		got, err := body.Read(rest[n:])
		n += got
		if err != nil && n < len(rest) {
			return // cut is allowed
		}
	}
	if string(rest) != old {
		t.Error("a body that was open during a replacement has other bytes than it began with")
	}
}

// Unchanged checks that an object is sent only where it no longer has the ETag
// that the reader knows.
func Unchanged(t *testing.T, b bucket.Bucket) {
	first := put(t, b, "look", "first version", bucket.Condition{})
	known := bucket.Range{Unless: first.ETag}
	for range 2 {
		_, _, err := read(t.Context(), b, "look", known)
		wantError(t, err, bucket.ErrUnchanged, "conditional read of an unchanged object")
	}
	_, _, err := read(t.Context(), b, "look/missing", known)
	wantError(t, err, bucket.ErrNotFound, "conditional read of a missing object")
	if got, object := get(t, b, "look", bucket.Range{Unless: bucket.NoObject}); string(got) != "first version" || object.ETag != first.ETag {
		t.Errorf("unless another ETag: got %q with ETag %s, want the object", got, object.ETag)
	}
	second := put(t, b, "look", "other version", bucket.Condition{})
	if got, object := get(t, b, "look", known); string(got) != "other version" || object.ETag != second.ETag {
		t.Errorf("after a replacement: got %q with ETag %s, want %q with %s", got, object.ETag, "other version", second.ETag)
	}
}
