package tree

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"testing"

	"koboshi/artifacts/tree/treetest"

	"github.com/klauspost/compress/zstd"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// holds compares dest with entries.
func holds(t testing.TB, y *treetest.Yard, entries []Entry) {
	t.Helper()
	if diff, err := Verify(t.Context(), y.Dest, os.Geteuid(), entries); err != nil || !diff.Clean() {
		t.Errorf("%+v, %v", diff, err)
	}
}

func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// zstdFrame compresses plain.
func zstdFrame(t testing.TB, plain []byte) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil)
	must(t, err)
	return z.EncodeAll(plain, nil)
}

func inflate(t testing.TB, packed []byte) []byte {
	t.Helper()
	z, err := zstd.NewReader(nil)
	must(t, err)
	defer z.Close()
	plain, err := z.DecodeAll(packed, nil)
	must(t, err)
	return plain
}

var errFetch = errors.New("chunk 7: hash differs")

var roomy = Limits{Bytes: 8 << 20, Entries: 1000}
