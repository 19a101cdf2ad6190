package fetch_test

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/fetch"
)

// mirrored is a second source of the same bytes under an ETag of its own.
func mirrored(data []byte) *memory {
	m := newMemory()
	m.put(key, data)
	m.lie, m.deaf = func(o *bucket.Object) { o.ETag = "of-the-mirror" }, true
	return m
}

// Where a source fails in the middle, the next one is asked only for what is
// missing, pinned to its own object.
func TestMirrorGoesOn(t *testing.T) {
	const size, part = 256 << 10, 64 << 10
	data := noise(31, size)
	for name, spoil := range map[string]func(*memory){
		"gives up from the start": func(m *memory) { m.fail = always(errReset) },
		"is not there":            func(m *memory) { delete(m.objects, key) },
		"gives up later": func(m *memory) {
			m.fail = func(r request) error {
				if r.Offset >= 2*part {
					return errReset
				}
				return nil
			}
		},
		"bodies break off for ever": func(m *memory) {
			m.body = func(r request, data []byte) io.Reader { return cut(data, 10) }
		},
		"stalls for ever": func(m *memory) {
			m.body = func(r request, data []byte) io.Reader {
				if r.Offset >= part {
					return &trickle{r.ctx, data}
				}
				return cut(data, len(data))
			}
		},
	} {
		for _, chunk := range []int{0, 32 << 10} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					first, second := newMemory(), mirrored(data)
					first.put(key, data)
					spoil(first)
					if _, err := download(t, first, artifactOf(data, chunk), data, small, second); err != nil {
						t.Fatal(err)
					}
					if second.asked() == 0 || second.asked() > size {
						t.Errorf("asked %d bytes of the mirror, want what was missing", second.asked())
					}
					for _, r := range second.log() {
						if r.ETag != "" && r.ETag != "of-the-mirror" {
							t.Errorf("the mirror was asked for %q, which is not its own", r.ETag)
						}
					}
				})
			})
		}
	}
}

func TestMirrorsThatAllGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := noise(32, 100<<10)
		first, second, third := newMemory(), newMemory(), newMemory()
		why := errors.New("the first one's reason")
		first.fail, second.fail, third.fail = always(why), always(errReset), always(errReset)
		_, err := download(t, first, artifactOf(data, 0), data, small, second, third)
		if !errors.Is(err, fetch.ErrTransport) || !errors.Is(err, why) {
			t.Errorf("got %v, want ErrTransport for the first one's reason", err)
		}
	})
}

// Bytes that are not the signed ones end the download: another source would hide it.
func TestMirrorDoesNotHideAnAlteredObject(t *testing.T) {
	data := noise(33, 100<<10)
	first, second := newMemory(), mirrored(data)
	first.put(key, flip(data, 5))
	for _, chunk := range []int{0, 32 << 10} {
		if _, err := download(t, first, artifactOf(data, chunk), data, small, second); !errors.Is(err, artifacts.ErrIntegrity) {
			t.Errorf("got %v, want ErrIntegrity", err)
		}
	}
}
