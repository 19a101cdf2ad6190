package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"koboshi/artifacts"
)

// shared are two apps' stores on one disk with so many megabytes to use; each
// release is one.
func shared(t *testing.T) (one, other *Store, megabytes *atomic.Int64, in Input) {
	t.Helper()
	megabytes = new(atomic.Int64)
	free := func() (unix.Statfs_t, error) {
		return unix.Statfs_t{Bsize: 4096, Bavail: uint64(spareBytes/4096 + 256*megabytes.Load() + 1)}, nil
	}
	one, other = open(t), open(t)
	turns := t.TempDir()
	for _, s := range []*Store{one, other} {
		s.free, s.Turns = free, turns
	}
	in = files{"bin/web": "1"}.release("1", artifacts.TarZst, true)
	in.Artifact.UnpackedBytes, in.Artifact.Entries = 1<<20, 1
	return one, other, megabytes, in
}

type room struct {
	end func()
	err error
}

func (r room) get() (func(), error) { return r.end, r.err }

// makesRoom begins to make room.
func makesRoom(ctx context.Context, s *Store, in Input) chan room {
	made := make(chan room, 1)
	go func() {
		end, err := s.MakeRoom(ctx, in)
		made <- room{end, err}
	}()
	return made
}

// isWaiting fails where room was made at once.
func isWaiting(t *testing.T, made chan room) {
	t.Helper()
	synctest.Wait()
	if len(made) > 0 {
		t.Fatalf("it does not wait: %v", (<-made).err)
	}
}

// Where there is room for one, the other finds what the first one has left.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, other, megabytes, in := shared(t)
		megabytes.Store(1)
		end := must(one.MakeRoom(t.Context(), in))
		made := makesRoom(t.Context(), other, in)
		<-time.After(10 * time.Second)
		isWaiting(t, made)
		megabytes.Store(0) // the first one has unpacked
		end()
		if _, full := errors.AsType[*SpaceError]((<-made).err); !full {
			t.Error("the other one finds space that the first one has used")
		}
		megabytes.Store(1)
		must(one.MakeRoom(t.Context(), in))() // who found no space does not keep the turn
	})
}

// Where there is plenty they unpack at once; one for which it is tight waits for
// those, and one that has waited looks again.
func TestTurnsWithPlenty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, other, megabytes, in := shared(t)
		megabytes.Store(2 * sharers)
		end, second := must(one.MakeRoom(t.Context(), in)), must(other.MakeRoom(t.Context(), in))
		second()
		megabytes.Store(1)
		made := makesRoom(t.Context(), other, in)
		isWaiting(t, made)
		end()
		alone := must((<-made).get())
		megabytes.Store(sharers)
		made = makesRoom(t.Context(), one, in)
		isWaiting(t, made)
		megabytes.Store(1)
		alone()
		end = must((<-made).get())
		isWaiting(t, makesRoom(t.Context(), other, in)) // what was plenty has become tight: the other one is alone
		end()
	})
}

// Another app that hangs is waited for no longer than that, and a run that ends does
// not wait at all.
func TestTurnsOfAnAppThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, other, megabytes, in := shared(t)
		megabytes.Store(1)
		defer must(one.MakeRoom(t.Context(), in))()
		begun := time.Now()
		must(other.MakeRoom(t.Context(), in))()
		if waited := time.Since(begun); waited != turnPatience {
			t.Errorf("waited %s, want %s", waited, turnPatience)
		}
		late := errors.New("the deadline of the boot")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, late)
		defer cancel()
		if _, err := other.MakeRoom(ctx, in); !errors.Is(err, late) {
			t.Errorf("%v, want %v", err, late)
		}
	})
}

// Without a place for turns, an app goes by what it sees.
func TestTurnsWithoutAPlace(t *testing.T) {
	one, other, megabytes, in := shared(t)
	megabytes.Store(1)
	link := filepath.Join(t.TempDir(), "turns")
	if err := os.Symlink(t.TempDir(), link); err != nil {
		t.Fatal(err)
	}
	for _, turns := range []string{"", filepath.Join(link, "nowhere")} {
		one.Turns, other.Turns = turns, turns
		end := must(one.MakeRoom(t.Context(), in))
		must(other.MakeRoom(t.Context(), in))()
		end()
	}
}
