package publish

import (
	"errors"
	"testing"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/buckettest"
)

// both is an instance that wants two signatures.
func both(t *testing.T, keys ...artifacts.PrivateKey) artifacts.Trust {
	t.Helper()
	trust, err := artifacts.NewTrust("1.0.0", 2, keys[0].Public(), keys[1].Public())
	must(t, err)
	return trust
}

func TestSignForAThreshold(t *testing.T) {
	w := newWorld(t)
	w.release("1.0")
	other := newKey(t)
	sign := Signing{App: "web", Version: "1.0", Keys: []artifacts.PrivateKey{other}, Trust: w.trust()}
	signed, err := AddSignature(t.Context(), w.bucket, sign)
	if err != nil || signed.Already || signed.Manifest == nil || signed.Manifest.Version != "1.0" || signed.Pointer != nil {
		t.Fatalf("manifest: %+v and %v", signed, err)
	}
	before := w.promote("1.0").Pointer
	sign.Channel = "stable"
	if signed, err = AddSignature(t.Context(), w.bucket, sign); err != nil || signed.Already || signed.Pointer == nil || *signed.Pointer != before {
		t.Fatalf("pointer: %+v and %v", signed, err)
	}
	strict := both(t, w.key, other)
	pointer, err := strict.Pointer(w.bucket.Bytes(artifacts.PointerKey("stable")), "web", "stable")
	must(t, err)
	_, err = strict.Manifest(w.bucket.Bytes(artifacts.ManifestKey("1.0")), pointer.Choose(""))
	must(t, err)
	puts := w.bucket.Calls(buckettest.Put, "")
	for _, channel := range []string{"", "stable"} {
		sign.Channel = channel
		if signed, err := AddSignature(t.Context(), w.bucket, sign); err != nil || !signed.Already {
			t.Errorf("again: %+v and %v, want nothing to do", signed, err)
		}
	}
	if n := w.bucket.Calls(buckettest.Put, ""); n != puts {
		t.Errorf("signing again has written %d times", n-puts)
	}
}

func TestSignRefuses(t *testing.T) {
	other := newKey(t)
	manifest, pointer := artifacts.ManifestKey("1.0"), artifacts.PointerKey("stable")
	for name, c := range map[string]struct {
		spoil func(w *world, s *Signing)
		want  error
	}{
		"no trust":         {func(_ *world, s *Signing) { s.Trust = artifacts.Trust{} }, artifacts.ErrUntrusted},
		"trust in our own": {func(w *world, s *Signing) { s.Trust = (&world{T: w.T, key: other}).trust() }, artifacts.ErrUntrusted},
		"manifest forged":  {func(w *world, _ *Signing) { w.bucket.Replace(manifest, flip(w.bucket.Bytes(manifest))) }, artifacts.ErrUntrusted},
		"manifest of 2.0":  {func(w *world, _ *Signing) { w.bucket.Replace(manifest, w.bucket.Bytes(artifacts.ManifestKey("2.0"))) }, artifacts.ErrUntrusted},
		"pointer forged":   {func(w *world, s *Signing) { s.Channel = "stable"; w.bucket.Replace(pointer, w.pointer(1, other)) }, artifacts.ErrUntrusted},
		"no such channel":  {func(_ *world, s *Signing) { s.Channel = "canary" }, bucket.ErrNotFound},
		"no such version":  {func(_ *world, s *Signing) { s.Version = "3.0" }, bucket.ErrNotFound},
		"bad channel":      {func(_ *world, s *Signing) { s.Channel = "../x" }, nil},
		"bad version":      {func(_ *world, s *Signing) { s.Version = "../x" }, nil},
		"no key":           {func(_ *world, s *Signing) { s.Keys = nil }, nil},
		"channels unknown": {func(w *world, _ *Signing) {
			w.bucket.Fail(buckettest.Fault{Op: buckettest.List, Err: bucket.ErrDenied})
		}, bucket.ErrDenied},
		"channel unreadable": {func(w *world, _ *Signing) {
			w.bucket.Fail(buckettest.Fault{Op: buckettest.Get, Key: pointer, Err: bucket.ErrDenied})
		}, bucket.ErrDenied},
		"changed meanwhile": {func(w *world, _ *Signing) {
			w.bucket.Fail(buckettest.Fault{Op: buckettest.Put, Before: func() { w.bucket.Replace(manifest, []byte("{}")) }})
		}, bucket.ErrChanged},
	} {
		w := newWorld(t)
		w.release("1.0")
		w.release("2.0")
		w.promote("2.0")
		s := Signing{App: "web", Version: "1.0", Keys: []artifacts.PrivateKey{other}, Trust: w.trust()}
		c.spoil(w, &s)
		if _, err := AddSignature(t.Context(), w.bucket, s); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		strict := both(t, w.key, other)
		if _, err := strict.Manifest(w.bucket.Bytes(manifest), artifacts.Reference{App: "web", Version: "1.0"}); err == nil {
			t.Errorf("%s: it was signed all the same", name)
		}
	}
}

func TestBoundManifest(t *testing.T) {
	w := newWorld(t)
	w.release("1.0")
	w.promote("1.0")
	canary := w.promotion("1.0")
	canary.Channel = "canary"
	_, err := Promote(t.Context(), w.bucket, canary)
	must(t, err)
	before := string(w.bucket.Bytes(artifacts.ManifestKey("1.0")))
	_, err = AddSignature(t.Context(), w.bucket, Signing{App: "web", Version: "1.0", Keys: []artifacts.PrivateKey{newKey(t)}, Trust: w.trust()})
	bound, ok := errors.AsType[*BoundError](err)
	if !ok || len(bound.Channels) != 2 || bound.Channels[0] != "canary" || bound.Channels[1] != "stable" {
		t.Errorf("got %v, want an error that names both channels", err)
	}
	if string(w.bucket.Bytes(artifacts.ManifestKey("1.0"))) != before {
		t.Error("the manifest was changed")
	}
}

// A promotion that has read the old bytes writes its pointer just before ours.
func TestBoundMeanwhile(t *testing.T) {
	w := newWorld(t)
	w.release("1.0")
	w.bucket.Fail(buckettest.Fault{Op: buckettest.Put, Key: artifacts.ManifestKey("1.0"), Times: 1, Before: func() { w.promote("1.0") }})
	_, err := AddSignature(t.Context(), w.bucket, Signing{App: "web", Version: "1.0", Keys: []artifacts.PrivateKey{newKey(t)}, Trust: w.trust()})
	if _, ok := errors.AsType[*BoundError](err); !ok {
		t.Errorf("got %v, want an error about the broken channel", err)
	}
	w.promote("1.0") // as it says
	w.stored()
}
