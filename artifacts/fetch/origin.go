package fetch

import (
	"context"
	"errors"
	"sync"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/pace"
)

// Origin is where one app's documents and artifacts come from: one source, or
// several with the same content. Signatures make sources equal, so the first one
// that answers with a verified document is asked first from then on. An index or
// artifact that it lacks is fetched from another source; that one, which may lag,
// is not asked first for documents because of it.
//
// All sources but the last are hurried: after five seconds without an answer,
// or two bodies in a row that broke off or stalled, the next one is asked. When
// all others have failed, too, a source that was left for this reason is asked
// again, with patience. So a second source never makes a run fail that would
// have succeeded with one.
type Origin struct {
	app     string
	trust   artifacts.Trust
	sources []bucket.Reader
	jitter  *pace.Jitter

	mu    sync.Mutex
	first int // the source to be asked first
}

// New is the origin of an app. There is at least one source; they are asked in
// this order. The pauses between tries follow from seed, on an instance its id.
func New(app string, trust artifacts.Trust, seed string, sources ...bucket.Reader) *Origin {
	return &Origin{app: app, trust: trust, sources: sources, jitter: &pace.Jitter{Seed: seed}}
}

// Sources are the sources of the origin, in their configured order.
func (o *Origin) Sources() []bucket.Reader { return o.sources }

// try is a source and whether it is hurried.
type try struct {
	source  int
	reader  bucket.Reader
	hurried bool
}

// tries are all but the last source in a hurry, the last one, and then the
// others with patience.
func (o *Origin) tries() (tries []try) {
	o.mu.Lock()
	defer o.mu.Unlock()
	order := []int{o.first}
	for i := range o.sources {
		if i != o.first {
			order = append(order, i)
		}
	}
	last := len(order) - 1
	for _, i := range order[:last] {
		tries = append(tries, try{i, hurried{o.sources[i]}, true})
	}
	tries = append(tries, try{order[last], o.sources[order[last]], false})
	for _, i := range order[:last] {
		tries = append(tries, try{i, o.sources[i], false})
	}
	return tries
}

// ask reads an object from one source after the other, until accept returns nil
// for its bytes, and returns that source and the object's ETag there. check judges
// the object's size before a byte is read. The error is that of the source that
// was asked first, or bucket.ErrUnchanged of the one that has what is known.
func (o *Origin) ask(ctx context.Context, key string, known Known, check func(size int64) error, accept func(data []byte) error) (source int, etag string, err error) {
	tries := o.tries()
	errs := make([]error, len(o.sources))
	for _, t := range tries {
		if errs[t.source] != nil && !errors.Is(errs[t.source], errHurried) {
			continue // patience would not change its answer
		}
		data, etag, err := o.read(ctx, t, key, known.at(t.source), check)
		if err == nil {
			err = accept(data)
		}
		if err == nil || errors.Is(err, bucket.ErrUnchanged) {
			return t.source, etag, err
		}
		if ctx.Err() != nil {
			return 0, "", context.Cause(ctx)
		}
		errs[t.source] = err
	}
	return 0, "", errs[tries[0].source]
}

// prefer makes a source that had a verified document the one to ask first.
func (o *Origin) prefer(source int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.first = source
}
