package store

import (
	"os"
	"testing"

	"koboshi/artifacts"
)

// Whatever is in the documents of a release, the store does not panic, and only
// a marker that agrees with the manifest makes a release.
func FuzzDocuments(f *testing.F) {
	f.Add([]byte(`{"version":"1","manifest_sha256":""}`), []byte(`{"seen":"2026-11-21T12:00:00Z"}`), []byte(`{"instance":"i-1","at":"2026-11-21T12:00:00Z"}`))
	f.Add([]byte(`{}`), []byte(`[]`), []byte("\x00"))
	s, err := Open(f.TempDir(), trust)
	if err != nil {
		f.Fatal(err)
	}
	in := files{"a": "1"}.release("1", artifacts.TarGz, false)
	r, err := s.Stage(f.Context(), in)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(must(os.ReadFile(meta(r, "complete"))), []byte(`{"sequence":-1}`), []byte(`{"instance":"i-1"`))
	f.Fuzz(func(t *testing.T, complete, pointer, healthy []byte) {
		for name, data := range map[string][]byte{"complete": complete, "pointers/stable": pointer, "healthy": healthy} {
			if err := os.WriteFile(meta(r, name), data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, ok, err := s.Find(in.Manifest)
		if err != nil {
			t.Errorf("an I/O error of garbage: %v", err)
		}
		if ok && (got.ManifestSHA256() != in.Manifest.SHA256() || got.Version() != "1") {
			t.Errorf("%s of %s", got.Version(), got.ManifestSHA256())
		}
	})
}
