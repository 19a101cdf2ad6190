package publish

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
)

// Entry is one promotion in a channel's history.
type Entry struct {
	Sequence int64
	Move     artifacts.Move // zero where Err is not nil
	By       []string       // ids of the keys that have signed it
	InEffect bool           // the channel pointed to it: a later entry says so, or the pointer
	Err      error          // why it is not verified: nothing that it says counts
}

// History is the newest promotions of a channel, and where it points to.
type History struct {
	Pointer *artifacts.Pointer // nil where the channel does not exist
	Entries []Entry            // the newest first
	Older   int                // so many that were not read
}

// record writes what the promotion makes of the channel. It comes before the pointer:
// a promotion that ends in between leaves an entry that is not in effect, and a channel
// is never where its history does not lead.
func (p Promotion) record(ctx context.Context, b bucket.Bucket, previous *artifacts.VerifiedPointer, pointer artifacts.Pointer) error {
	to, err := pointer.Position()
	if err != nil {
		return err
	}
	move := artifacts.Move{Schema: artifacts.Schema, App: p.App, Channel: p.Channel, At: pointer.Issued, To: to, Reason: p.Reason}
	if previous != nil {
		from := previous.Position()
		move.From = &from
	}
	envelope, err := move.Sign(p.Keys...)
	if err != nil {
		return err
	}
	_, err = b.Put(ctx, artifacts.MoveKey(p.Channel, to.At()), bytes.NewReader(envelope), int64(len(envelope)), bucket.Condition{})
	return err
}

// Moves reads the newest promotions of a channel, at most so many. Entries that do not
// verify under trust are listed with the reason. The pointer has to verify.
func Moves(ctx context.Context, b bucket.Bucket, app, channel string, trust artifacts.Trust, most int) (History, error) {
	if err := errors.Join(artifacts.CheckName(app), artifacts.CheckName(channel)); err != nil {
		return History{}, err
	}
	h, err := moves(ctx, b, app, channel, trust, most)
	if err != nil {
		return h, fmt.Errorf("history of channel %s of %s: %w", channel, app, err)
	}
	return h, nil
}

func moves(ctx context.Context, b bucket.Bucket, app, channel string, trust artifacts.Trust, most int) (h History, err error) {
	names, err := entriesOf(ctx, b, channel)
	if err != nil {
		return h, err
	}
	h.Older = max(0, len(names)-most)
	h.Entries = make([]Entry, len(names)-h.Older)
	group, limited := errgroupOf(ctx, pointersAtATime)
	for i, name := range names[:len(h.Entries)] {
		group.Go(func() (err error) {
			h.Entries[i], err = readEntry(limited, b, app, channel, trust, name)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return h, err
	}
	pointer, _, err := readPointer(ctx, b, trust, app, channel)
	if err != nil {
		return h, err
	}
	h.Pointer = contentOf(pointer)
	h.mark(pointer)
	return h, nil
}

// entriesOf are the names of the entries of a channel, the newest first.
func entriesOf(ctx context.Context, b bucket.Bucket, channel string) ([]string, error) {
	names, err := namesBetween(ctx, b, artifacts.MovesPrefix(channel), ".json", checkEntry)
	slices.SortFunc(names, func(x, y string) int {
		return cmp.Or(cmp.Compare(sequenceOf(y), sequenceOf(x)), strings.Compare(x, y))
	})
	return names, err
}

// mark finds out what was in effect.
func (h *History) mark(pointer *artifacts.VerifiedPointer) {
	was := map[artifacts.Sequence]bool{}
	if pointer != nil {
		was[pointer.Sequence()] = true
	}
	for i := range h.Entries {
		if e := &h.Entries[i]; e.Err == nil {
			e.InEffect = was[e.Move.To.At()]
			if from := e.Move.From; from != nil {
				was[from.At()] = true
			}
		}
	}
}

// checkEntry accepts the name of an entry: a sequence, a hyphen and 12 digits of a hash.
func checkEntry(name string) error {
	number, short, ok := strings.Cut(name, "-")
	if n, err := strconv.ParseInt(number, 10, 64); !ok || err != nil || n < 1 || strconv.FormatInt(n, 10) != number || !artifacts.IsShort(short) {
		return errors.New("not the name of an entry")
	}
	return nil
}

func sequenceOf(name string) int64 {
	number, _, _ := strings.Cut(name, "-")
	n, _ := strconv.ParseInt(number, 10, 64) // checkEntry has
	return n
}

// readEntry reads one entry. Its error is that of a bucket that cannot be read.
func readEntry(ctx context.Context, b bucket.Bucket, app, channel string, trust artifacts.Trust, name string) (Entry, error) {
	e := Entry{Sequence: sequenceOf(name)}
	move, err := readMove(ctx, b, app, channel, trust, artifacts.MovesPrefix(channel)+name+".json")
	switch {
	case errors.Is(err, artifacts.ErrUntrusted), errors.Is(err, artifacts.ErrTooOld), errors.Is(err, bucket.ErrNotFound):
		e.Err = err
	case err != nil:
		return e, err
	default:
		e.Move, e.By = move.Move(), move.By()
	}
	return e, nil
}

func readMove(ctx context.Context, b bucket.Bucket, app, channel string, trust artifacts.Trust, key string) (*artifacts.VerifiedMove, error) {
	d, err := readDocument(ctx, b, key, artifacts.MaxMoveBytes)
	if err != nil {
		return nil, err
	}
	move, err := trust.Move(d.data, app, channel, key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return move, nil
}

// maxBack is how many entries are followed for the release that was before.
const maxBack = 256

// before is the release that a channel pointed to, for all of its instances, before
// the one that it points to now. Each step is what a verified entry says of the one
// before it.
func (p Promotion) before(ctx context.Context, b bucket.Bucket, pointer *artifacts.VerifiedPointer) (artifacts.Position, error) {
	if pointer == nil {
		return artifacts.Position{}, unfit("name the version", "channel %s does not exist: nothing was before", p.Channel)
	}
	now := pointer.Position()
	at := now
	for range maxBack {
		key := artifacts.MoveKey(p.Channel, at.At())
		move, err := readMove(ctx, b, p.App, p.Channel, p.Trust, key)
		if errors.Is(err, bucket.ErrNotFound) {
			return at, unfit("name the version: koboshi releases --history shows what is known", "the history of channel %s has no entry for sequence %d: it was promoted by an older koboshi, or the entry was removed", p.Channel, at.Sequence)
		}
		if err != nil {
			return at, err
		}
		from := move.Move().From
		if from == nil {
			return at, unfit("name the version", "channel %s was new at sequence %d: nothing was before", p.Channel, at.Sequence)
		}
		if at = *from; at.ManifestSHA256 != now.ManifestSHA256 {
			return at, nil
		}
	}
	return at, unfit("name the version: koboshi releases --history shows more", "channel %s has pointed to %s for %d promotions", p.Channel, now.Version, maxBack)
}
