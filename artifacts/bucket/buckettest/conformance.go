package buckettest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"koboshi/artifacts/bucket"
)

// Conformance checks a bucket against the contract of [bucket.Bucket]. open makes an
// empty bucket; it is called once for each group of checks. lacks is the names of the
// groups that a store is known to fail.
func Conformance(t *testing.T, open func(t *testing.T) bucket.Bucket, lacks ...string) {
	groups := slices.DeleteFunc(slices.Concat(reads, writes), func(g group) bool { return slices.Contains(lacks, g.name) })
	run(t, groups, open)
}

// ReadConformance checks a reader against the contract of [bucket.Reader]. open
// makes an empty bucket, and a reader of what is stored there.
func ReadConformance(t *testing.T, open func(t *testing.T) (bucket.Bucket, bucket.Reader)) {
	run(t, reads, func(t *testing.T) bucket.Bucket {
		origin, reader := open(t)
		return readThrough{origin, reader}
	})
}

type group struct {
	name  string
	check func(*testing.T, bucket.Bucket)
}

var (
	reads  = []group{{"ranges", Ranges}, {"pins", Pins}, {"conditional reads", Unchanged}, {"keys", Keys}, {ControlCharacters, controlCharacters}}
	writes = []group{{"writes", Writes}, {"dates", Dates}, {"races", Races}, {"paging", Paging}, {"large", Large}}
)

func run(t *testing.T, groups []group, open func(t *testing.T) bucket.Bucket) {
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) { g.check(t, open(t)) })
	}
}

// readThrough is a bucket that is read by another way than it is written.
type readThrough struct {
	bucket.Bucket
	reader bucket.Reader
}

func (r readThrough) Get(ctx context.Context, key string, part bucket.Range) (io.ReadCloser, bucket.Object, error) {
	return r.reader.Get(ctx, key, part)
}

// put stores data or ends the test.
func put(t *testing.T, b bucket.Bucket, key, data string, when bucket.Condition) bucket.Object {
	t.Helper()
	object, err := write(t.Context(), b, key, []byte(data), when)
	if err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
	if object.Key != key || object.Size != int64(len(data)) || object.ETag == "" {
		t.Fatalf("put %q answered %+v, want that key, %d bytes and an ETag", key, object, len(data))
	}
	return object
}

// Dates checks that a store which answers with its clock does so every time. Its
// clock and that of the test are the same, but for what is left of a second.
func Dates(t *testing.T, b bucket.Bucket) {
	answers := map[string]bucket.Object{"put": put(t, b, "dates", "text", bucket.Condition{})}
	_, answers["get"] = get(t, b, "dates", bucket.Range{Offset: 1, Length: 2})
	for object, err := range b.List(t.Context(), "dates") {
		if err != nil {
			t.Fatal(err)
		}
		answers["list"] = object
	}
	for op, object := range answers {
		if object.Date.IsZero() != answers["put"].Date.IsZero() {
			t.Errorf("%s: the store's clock is %v, and %v after put", op, object.Date, answers["put"].Date)
		}
		if off := time.Since(object.Date).Abs(); !object.Date.IsZero() && off > time.Hour {
			t.Errorf("%s: the store's clock is %v, which is off by %v", op, object.Date, off)
		}
	}
}

// get reads a range or ends the test.
func get(t *testing.T, b bucket.Bucket, key string, r bucket.Range) ([]byte, bucket.Object) {
	t.Helper()
	data, object, err := read(t.Context(), b, key, r)
	if err != nil {
		t.Fatalf("get %q %+v: %v", key, r, err)
	}
	return data, object
}

func write(ctx context.Context, b bucket.Bucket, key string, data []byte, when bucket.Condition) (bucket.Object, error) {
	return b.Put(ctx, key, bytes.NewReader(data), int64(len(data)), when)
}

func read(ctx context.Context, b bucket.Bucket, key string, r bucket.Range) ([]byte, bucket.Object, error) {
	body, object, err := b.Get(ctx, key, r)
	if err != nil {
		return nil, bucket.Object{}, err
	}
	data, err := io.ReadAll(body)
	return data, object, errors.Join(err, body.Close())
}

// wantError checks that err is the sentinel and none of its siblings.
func wantError(t *testing.T, err, sentinel error, what string) {
	t.Helper()
	for _, other := range []error{bucket.ErrNotFound, bucket.ErrDenied, bucket.ErrCredentials, bucket.ErrChanged, bucket.ErrExists, bucket.ErrConflict, bucket.ErrUnchanged} {
		if got, want := errors.Is(err, other), other == sentinel; got != want {
			t.Errorf("%s: got error %v, want %v", what, err, sentinel)
			return
		}
	}
}
