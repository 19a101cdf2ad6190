package buckettest

import (
	"errors"
	"io"
	"testing"

	"koboshi/artifacts/bucket"
)

func TestMemoryConforms(t *testing.T) {
	Conformance(t, func(*testing.T) bucket.Bucket { return NewMemory() })
}

func TestDamage(t *testing.T) {
	m := NewMemory()
	before := put(t, m, "k", "0123456789", bucket.Condition{})
	m.FlipByte("k", 3)
	if got, object := get(t, m, "k", bucket.Range{Offset: 2, Length: 3}); string(got) != "224" || object.ETag != before.ETag {
		t.Errorf("flipped: got %q with ETag %s, want %q with the old one", got, object.ETag, "224")
	}
	m.Heal()
	m.Truncate("k", 5)
	if got, _, err := read(t.Context(), m, "k", bucket.Range{Offset: 3}); string(got) != "34" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut: got %q and %v, want 2 bytes and an unexpected end", got, err)
	}
	if got, _ := get(t, m, "k", bucket.Range{Length: 5}); string(got) != "01234" {
		t.Errorf("before the cut: got %q", got)
	}
	m.Heal()
	m.ReplaceAt("k", 4, []byte("other"))
	if got, _ := get(t, m, "k", bucket.Range{}); string(got) != "0123456789" {
		t.Errorf("replaced under an open body: got %q", got)
	}
	_, _, err := read(t.Context(), m, "k", bucket.Range{ETag: before.ETag})
	wantError(t, err, bucket.ErrChanged, "after the replacement")
}

func TestFaults(t *testing.T) {
	m := NewMemory()
	down, lost := errors.New("down"), errors.New("lost")
	m.Fail(Fault{Op: Put, Key: "k", Skip: 1, Times: 2, Err: down})
	m.Fail(Fault{Op: Put, Key: "reply", Err: lost, Applied: true})
	for i, want := range []error{nil, down, down, nil} {
		if _, err := write(t.Context(), m, "k", []byte("x"), bucket.Condition{}); !errors.Is(err, want) {
			t.Errorf("call %d: got %v, want %v", i, err, want)
		}
	}
	if _, err := write(t.Context(), m, "reply", []byte("x"), bucket.Condition{}); !errors.Is(err, lost) {
		t.Errorf("got %v, want the reply lost", err)
	}
	if got, _ := get(t, m, "reply", bucket.Range{}); string(got) != "x" {
		t.Errorf("a write whose reply was lost: got %q", got)
	}
	m.Fail(Fault{Op: Get, Key: "k", Times: 1, Before: func() { m.Drop("k") }})
	_, _, err := read(t.Context(), m, "k", bucket.Range{})
	wantError(t, err, bucket.ErrNotFound, "dropped meanwhile")
	if got := m.Calls(Put, "k"); got != 4 {
		t.Errorf("counted %d puts of k, want 4", got)
	}
	if got := m.Calls(Put, ""); got != 5 {
		t.Errorf("counted %d puts, want 5", got)
	}
}

func TestReadOfSmallObjects(t *testing.T) {
	m := NewMemory()
	stored := put(t, m, "k", "12345", bucket.Condition{})
	if data, object, err := bucket.Read(t.Context(), m, "k", 5); err != nil || string(data) != "12345" || object.ETag != stored.ETag {
		t.Errorf("got %q with %+v and %v", data, object, err)
	}
	if data, _, err := bucket.Read(t.Context(), m, "k", 4); !errors.Is(err, bucket.ErrTooLarge) || data != nil {
		t.Errorf("above the limit: got %q and %v", data, err)
	}
	m.Truncate("k", 3)
	if data, _, err := bucket.Read(t.Context(), m, "k", 5); !errors.Is(err, io.ErrUnexpectedEOF) || data != nil {
		t.Errorf("cut: got %q and %v", data, err)
	}
	_, _, err := bucket.Read(t.Context(), m, "none", 5)
	wantError(t, err, bucket.ErrNotFound, "no object")
}
