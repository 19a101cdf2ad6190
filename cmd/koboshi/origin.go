package main

import (
	"context"
	"errors"

	"koboshi/agent/config"
	"koboshi/agent/converge"
	"koboshi/agent/report"
	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/fetch"
)

// origin is where an agent's documents and artifacts come from. Of its sources
// the first that has a document that is believed is the one that is asked from
// then on: signatures make them equal. What an index or an artifact lacks comes
// from the others, without making one of them, which may lag, the one to ask
// what is current.
type origin struct {
	sources []bucket.Reader // at least one; the first is the one in use
	trust   artifacts.Trust
	app     string
	here    func() []string // the versions that this machine knows of

	memory profile
}

func (o *origin) Pointer(ctx context.Context, channel string) (p *artifacts.VerifiedPointer, err error) {
	err = o.stay(o.firstOf(ctx, func(source bucket.Reader) error {
		p, err = fetch.Pointer(ctx, source, o.trust, o.app, channel)
		return err
	}))
	return p, err
}

func (o *origin) Manifest(ctx context.Context, ref artifacts.Reference) (m *artifacts.VerifiedManifest, err error) {
	err = o.stay(o.firstOf(ctx, func(source bucket.Reader) error {
		m, err = fetch.Manifest(ctx, source, o.trust, ref)
		return err
	}))
	if err != nil && ref.ManifestSHA256 == (artifacts.Digest{}) { // a person has asked for it by version
		err = didYouMean(ctx, err, ref.Version, o.published)
	}
	return m, err
}

func (o *origin) Blob(ctx context.Context, b artifacts.Blob) (data []byte, err error) {
	_, err = o.firstOf(ctx, func(source bucket.Reader) error {
		data, err = fetch.Blob(ctx, source, b)
		return err
	})
	return data, err
}

func (o *origin) Open(ctx context.Context, a artifacts.Artifact, rate config.Rate, s *report.Span) converge.Content {
	turns := o.turns()
	options := o.memory.download(a)
	options.Rate = int64(rate)
	options.Progress, options.Attempts, options.Mirrors = s.AddBytes, s.Attempt, turns[1:]
	return fetch.Open(ctx, turns[0], a, options)
}

// turns are the sources in the order in which they are asked: all but the last
// are hurried, since there is another one to turn to, and asked once more with
// patience when nobody has answered. So a second source never makes a run fail
// that would have had its way with one.
func (o *origin) turns() (turns []bucket.Reader) {
	last := len(o.sources) - 1
	for _, source := range o.sources[:last] {
		turns = append(turns, fetch.Hurried(source))
	}
	turns = append(turns, o.sources[last])
	return append(turns, o.sources[:last]...)
}

// firstOf asks one source after the other, and tells which was the first that
// answered with something that is believed. The error is the first one's.
func (o *origin) firstOf(ctx context.Context, ask func(bucket.Reader) error) (int, error) {
	errs := make([]error, len(o.sources))
	for turn, source := range o.turns() {
		i := turn % len(errs)
		if errs[i] != nil && !errors.Is(errs[i], fetch.ErrHurried) {
			continue // patience would not change its answer
		}
		if errs[i] = ask(source); errs[i] == nil {
			return i, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return 0, errs[0]
}

// stay makes the source that had a document the first one to be asked.
func (o *origin) stay(i int, err error) error {
	o.sources[0], o.sources[i] = o.sources[i], o.sources[0]
	return err
}
