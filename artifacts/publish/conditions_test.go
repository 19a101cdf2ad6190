package publish

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/buckettest"
)

// TestReadBack lets another promoter write between a promotion's write and its
// look at what it wrote.
func TestReadBack(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*buckettest.Memory)
		rival func(w *world)
		want  error
	}{
		"a later promotion":            {func(*buckettest.Memory) {}, func(w *world) { w.promote("3.0") }, nil},
		"a lost update":                {func(*buckettest.Memory) {}, func(w *world) { w.overwrite("3.0") }, ErrMoved},
		"the store ignores conditions": {(*buckettest.Memory).IgnoreConditions, func(w *world) { w.promote("3.0") }, ErrMoved},
		"the store has no ETags":       {(*buckettest.Memory).ForgetETags, func(w *world) { w.promote("3.0") }, ErrMoved},
		"to the same version":          {(*buckettest.Memory).IgnoreConditions, func(w *world) { w.promote("2.0") }, nil},
	} {
		w := newWorld(t)
		c.spoil(w.bucket)
		for _, v := range []string{"1.0", "2.0", "3.0"} {
			w.release(v)
		}
		w.promote("1.0")
		w.bucket.Fail(buckettest.Fault{Op: buckettest.Get, Key: artifacts.PointerKey("stable"), Skip: readsBeforeTheLook(w), Times: 1, Before: func() { c.rival(w) }})
		if _, err := Promote(t.Context(), w.bucket, w.promotion("2.0")); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

// readsBeforeTheLook is how often a promotion reads the pointer before it looks
// at what it wrote: a store without ETags is read again just before the write.
func readsBeforeTheLook(w *world) int {
	_, object, err := bucket.Read(w.Context(), w.bucket, artifacts.PointerKey("stable"), artifacts.MaxPointerBytes)
	must(w.T, err)
	if object.ETag == "" {
		return 2
	}
	return 1
}

// overwrite is the write of a promoter that has not seen the last pointer, in a
// store that takes it.
func (w *world) overwrite(version string) {
	pointer, _ := w.stored()
	pointer.Version, pointer.ManifestSHA256 = version, artifacts.Sum(w.bucket.Bytes(artifacts.ManifestKey(version)))
	envelope, err := pointer.Sign(w.key)
	must(w.T, err)
	w.bucket.Replace(artifacts.PointerKey("stable"), envelope)
}

func TestConditionsAreProbed(t *testing.T) {
	for name, c := range map[string]struct {
		spoil  func(*buckettest.Memory)
		denied bool
		want   Conditions
	}{
		"a good store":           {func(*buckettest.Memory) {}, false, bucket.Honoured},
		"one that takes all":     {(*buckettest.Memory).IgnoreConditions, false, bucket.Ignored},
		"one without ETags":      {(*buckettest.Memory).ForgetETags, false, NoETag},
		"one that denies probes": {func(*buckettest.Memory) {}, true, bucket.Unknown},
	} {
		w := newWorld(t)
		c.spoil(w.bucket)
		w.release("1.0")
		w.promote("1.0")
		before := w.keys()
		b := denying{w.bucket, c.denied}
		promoted, err := Promote(t.Context(), b, w.promotion("1.0"))
		must(t, err)
		signed, err := AddSignature(t.Context(), b, Signing{App: "web", Channel: "stable", Keys: []artifacts.PrivateKey{newKey(t)}, Trust: w.trust()})
		must(t, err)
		if promoted.Conditions != c.want || signed.Conditions != c.want {
			t.Errorf("%s: found %q by promote, %q by sign, want %q", name, promoted.Conditions, signed.Conditions, c.want)
		}
		after := slices.DeleteFunc(w.keys(), func(key string) bool {
			return strings.HasPrefix(key, artifacts.MovesPrefix("stable")) && !slices.Contains(before, key)
		})
		if !slices.Equal(after, before) {
			t.Errorf("%s: left %q", name, after)
		}
	}
}

// denying is a bucket whose policy may deny all but documents.
type denying struct {
	bucket.Bucket
	probes bool
}

func (d denying) Put(ctx context.Context, key string, body io.ReaderAt, size int64, when bucket.Condition) (bucket.Object, error) {
	if d.probes && !strings.HasSuffix(key, ".json") {
		return bucket.Object{}, bucket.ErrDenied
	}
	return d.Bucket.Put(ctx, key, body, size, when)
}

// TestSignatureIsReadBack: a signature that another writer's bytes replace is not
// reported as added.
func TestSignatureIsReadBack(t *testing.T) {
	for what, key := range map[string]string{"channel": artifacts.PointerKey("stable"), "version": artifacts.ManifestKey("1.0")} {
		w := newWorld(t)
		w.release("1.0")
		s := Signing{App: "web", Version: "1.0", Keys: []artifacts.PrivateKey{newKey(t)}, Trust: w.trust()}
		if what == "channel" {
			w.promote("1.0")
			s.Channel, s.Version = "stable", ""
		}
		was := w.bucket.Bytes(key)
		w.bucket.Fail(buckettest.Fault{Op: buckettest.Get, Key: key, Skip: 1, Times: 1, Before: func() { w.bucket.Replace(key, was) }})
		_, err := AddSignature(t.Context(), w.bucket, s)
		if wantIs(t, err, bucket.ErrChanged); err != nil && !strings.Contains(err.Error(), "sign") {
			t.Errorf("%v does not say what was tried", err)
		}
	}
}

func (w *world) keys() (keys []string) {
	for object, err := range w.bucket.List(w.Context(), "") {
		must(w.T, err)
		keys = append(keys, object.Key)
	}
	return keys
}
