package artifacts

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// Digest is a SHA-256 sum. Its text form is 64 lower-case hexadecimal digits.
type Digest [sha256.Size]byte

// Sum is the digest of data.
func Sum(data []byte) Digest { return sha256.Sum256(data) }

func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// Short is the first 12 hexadecimal digits: enough to name a directory or an object, too
// few to verify one.
func (d Digest) Short() string { return d.String()[:shortDigits] }

const shortDigits = 12

// IsShort reports whether text is what [Digest.Short] returns of some digest.
func IsShort(text string) bool {
	return len(text) == shortDigits && strings.Trim(text, "0123456789abcdef") == ""
}

// MarshalText writes lower-case hexadecimal.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText takes exactly what MarshalText writes; upper case is refused, so
// that one digest has one spelling.
func (d *Digest) UnmarshalText(text []byte) error {
	var got Digest
	if n, err := hex.Decode(got[:], text[:min(len(text), 2*len(got))]); err != nil || n != len(got) || got.String() != string(text) {
		return fmt.Errorf("%q is not a SHA-256 in 64 lower-case hexadecimal digits", clip(string(text)))
	}
	*d = got
	return nil
}

// ErrIntegrity is the sentinel of every [MismatchError].
var ErrIntegrity = errors.New("size or hash differ")

// MismatchError is returned for bytes that are not the ones that were signed.
type MismatchError struct {
	What               string // such as "chunk 3 of releases/1.4.2/web…"
	GotSize, WantSize  int64  // bytes
	GotSHA256, WantSHA Digest // GotSHA256 is zero where the sizes differ already
}

func (e *MismatchError) Error() string {
	if e.GotSize != e.WantSize {
		return fmt.Sprintf("%s: got %d bytes, want %d", e.What, e.GotSize, e.WantSize)
	}
	return fmt.Sprintf("%s: got sha256 %s (%d bytes), want %s", e.What, e.GotSHA256, e.GotSize, e.WantSHA)
}

// Is makes every mismatch an [ErrIntegrity].
func (e *MismatchError) Is(target error) bool { return target == ErrIntegrity }

// CheckSum compares data with the size and hash that were signed for it.
func CheckSum(what string, data []byte, size int64, sum Digest) error {
	if int64(len(data)) != size {
		return &MismatchError{What: what, GotSize: int64(len(data)), WantSize: size, WantSHA: sum}
	}
	if got := Sum(data); got != sum {
		return &MismatchError{What: what, GotSize: size, WantSize: size, GotSHA256: got, WantSHA: sum}
	}
	return nil
}

// SumOf is the SHA-256 of digests, one after the other.
func SumOf(digests []Digest) Digest {
	hash := sha256.New()
	for i := range digests {
		_, _ = hash.Write(digests[i][:]) // never fails
	}
	return Digest(hash.Sum(nil))
}
