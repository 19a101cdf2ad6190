package main

import (
	"context"

	"koboshi/agent/config"
	"koboshi/agent/converge"
	"koboshi/agent/report"
	"koboshi/artifacts"
	"koboshi/artifacts/fetch"
)

// origin is where the agent's documents and artifacts come from: within the
// memory of this machine, and with a hint for a version that does not exist.
type origin struct {
	*fetch.Origin
	memory profile
	here   func() []string // the versions that this machine knows of
}

func (o origin) Manifest(ctx context.Context, ref artifacts.Reference) (*artifacts.VerifiedManifest, error) {
	m, err := o.Origin.Manifest(ctx, ref)
	if err != nil && ref.ManifestSHA256 == (artifacts.Digest{}) { // a person has asked for it by version
		if hinted, is := removed(ctx, err, ref.App, ref.Version, o.Sources()...); is {
			return nil, hinted
		}
		err = didYouMean(ctx, err, ref.Version, o.published)
	}
	return m, err
}

func (o origin) Open(ctx context.Context, a artifacts.Artifact, rate config.Rate, s *report.Span) converge.Content {
	return o.OpenChunks(ctx, a, nil, rate, s)
}

func (o origin) OpenChunks(ctx context.Context, a artifacts.Artifact, chunks []int, rate config.Rate, s *report.Span) converge.Content {
	o.memory.makeRoom(a)
	options := o.memory.download(a)
	options.Chunks = chunks
	options.Rate, options.Progress, options.Attempts = int64(rate), s.AddBytes, s.Attempt
	return o.Origin.Open(ctx, a, options)
}
