package publish

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"koboshi/artifacts"
)

func trusts(t *testing.T, keys ...artifacts.PrivateKey) artifacts.Trust {
	t.Helper()
	trust, err := trustIn(keys)
	must(t, err)
	return trust
}

// signedBy reports which of the keys have signed the channel stable.
func (w *world) signedBy(keys ...artifacts.PrivateKey) (by []bool) {
	w.Helper()
	for _, k := range keys {
		_, err := trusts(w.T, k).Pointer(w.bucket.Bytes(artifacts.PointerKey("stable")), "web", "stable")
		by = append(by, err == nil)
	}
	return by
}

// A rotation: the next key signs, and the old signature goes. The pointer keeps its
// place in the channel's history, and one trusted signature is always left.
func TestRemoveSignature(t *testing.T) {
	w := newWorld(t)
	w.release("1.0")
	w.promote("1.0")
	old, next := w.key, newKey(t)
	before, _ := w.stored()
	remove := Signing{App: "web", Channel: "stable", Trust: trusts(t, old), Remove: old.Public().ID(), Known: []artifacts.PublicKey{old.Public()}}

	_, err := AddSignature(t.Context(), w.bucket, remove)
	wantIs(t, err, ErrLast)
	if by := w.signedBy(old, next); !slices.Equal(by, []bool{true, false}) {
		t.Fatalf("signed by %v", by)
	}
	both := remove
	both.Keys = []artifacts.PrivateKey{next}
	signed, err := AddSignature(t.Context(), w.bucket, both) // in one write
	if err != nil || signed.Already {
		t.Fatalf("%+v, %v", signed, err)
	}
	if by := w.signedBy(old, next); !slices.Equal(by, []bool{false, true}) {
		t.Errorf("signed by %v", by)
	}
	after, err := trusts(t, next).Pointer(w.bucket.Bytes(artifacts.PointerKey("stable")), "web", "stable")
	must(t, err)
	if after.Pointer() != before {
		t.Errorf("%+v, want %+v", after.Pointer(), before)
	}
	remove.Trust, remove.Known = trusts(t, next), []artifacts.PublicKey{next.Public()}
	if signed, err := AddSignature(t.Context(), w.bucket, remove); err != nil || !signed.Already {
		t.Errorf("again: %+v, %v", signed, err)
	}
	own := both
	own.Trust, own.Remove = trusts(t, next), next.Public().ID()
	if _, err := AddSignature(t.Context(), w.bucket, own); err == nil {
		t.Error("a key signed and was removed")
	}
}

// A signature without the key's id counts on instances, so it has to go as well.
func TestRemoveSignatureWithoutID(t *testing.T) {
	old, next := newKey(t), newKey(t)
	envelope, err := artifacts.Pointer{Schema: 1, App: "web", Channel: "stable", Sequence: 1, Version: "1.0", ManifestSHA256: artifacts.Sum(nil), Issued: noon}.Sign(old, next)
	must(t, err)
	anonymous := []byte(strings.Replace(string(envelope), `"keyid":"`+old.Public().ID()+`",`, "", 1))
	rest, n, err := artifacts.RemoveSignature(anonymous, old.Public().ID(), old.Public(), next.Public())
	must(t, err)
	if _, err := trusts(t, old).Pointer(rest, "web", "stable"); n != 1 || !errors.Is(err, artifacts.ErrUntrusted) {
		t.Errorf("%d removed, %v", n, err)
	}
	if _, err := trusts(t, next).Pointer(rest, "web", "stable"); err != nil {
		t.Error(err)
	}
}

// A manifest keeps its bytes while a channel points to it.
func TestRemoveSignatureOfAManifest(t *testing.T) {
	w := newWorld(t)
	next := newKey(t)
	d := w.draft("1.0", w.executable("one"))
	d.Keys = append(d.Keys, next)
	_, err := Release(t.Context(), w.bucket, d)
	must(t, err)
	remove := Signing{App: "web", Version: "1.0", Trust: trusts(t, next), Remove: w.key.Public().ID()}
	w.promote("1.0")
	_, err = AddSignature(t.Context(), w.bucket, remove)
	if bound, ok := errors.AsType[*BoundError](err); !ok || !slices.Equal(bound.Channels, []string{"stable"}) {
		t.Fatalf("%v", err)
	}
	w.release("2.0")
	w.promote("2.0")
	_, err = AddSignature(t.Context(), w.bucket, remove)
	must(t, err)
	data, ref := w.bucket.Bytes(artifacts.ManifestKey("1.0")), artifacts.Reference{App: "web", Version: "1.0"}
	if _, err := trusts(t, w.key).Manifest(data, ref); !errors.Is(err, artifacts.ErrUntrusted) {
		t.Errorf("the old signature is left: %v", err)
	}
	if _, err := trusts(t, next).Manifest(data, ref); err != nil {
		t.Error(err)
	}
}
