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
// several that have the same. Signatures make them equal, so the first one that
// answers with a document that is verified is the one that is asked first from
// then on. What an index or an artifact lacks comes from the others, without
// making one of them, which may lag, the one to ask what is current.
//
// All sources but the last are hurried: after five seconds without an answer,
// or two bodies in a row that broke off or stalled, the next one is asked. One
// that was left for that is asked again, with patience, when all the others
// have failed, too. So a second source never makes a run fail that would have
// succeeded with one.
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

// Sources are those that the origin was made of.
func (o *Origin) Sources() []bucket.Reader { return o.sources }

// try is a source when it is asked.
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

// ask reads an object of one source after the other, until accept has no
// objection to its bytes, and returns of which. check judges the object's size
// before a byte is read. The error is that of the source that was asked first.
func (o *Origin) ask(ctx context.Context, key string, check func(size int64) error, accept func(data []byte) error) (source int, err error) {
	tries := o.tries()
	errs := make([]error, len(o.sources))
	for _, t := range tries {
		if errs[t.source] != nil && !errors.Is(errs[t.source], errHurried) {
			continue // patience would not change its answer
		}
		data, err := o.read(ctx, t, key, check)
		if err == nil {
			err = accept(data)
		}
		if err == nil {
			return t.source, nil
		}
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		errs[t.source] = err
	}
	return 0, errs[tries[0].source]
}

// prefer makes a source that had a document the one that is asked first.
func (o *Origin) prefer(source int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.first = source
}
