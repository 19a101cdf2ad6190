package agent_test

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"koboshi/agent/config"
	"koboshi/agent/converge"
	"koboshi/agent/report"
	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/buckettest"
	"koboshi/artifacts/fetch"
	"koboshi/artifacts/tree"
)

// recordBucket is nil, and not a bucket that is nil, where there is none.
func (w *world) recordBucket() bucket.Bucket {
	if w.records == nil {
		return nil
	}
	return recordBucket{w.records, w}
}

type recordBucket struct {
	*buckettest.Memory
	world *world
}

func (b recordBucket) Put(ctx context.Context, key string, body io.ReaderAt, size int64, when bucket.Condition) (bucket.Object, error) {
	if err := b.world.answers(ctx, "record"); err != nil {
		return bucket.Object{}, err
	}
	return b.Memory.Put(ctx, key, body, size, when)
}

type channel struct {
	*world
	trust artifacts.Trust
}

func (c channel) Pointer(ctx context.Context, name string, known fetch.Known) (fetch.Known, error) {
	c.roundTrip()
	c.pointers++
	if c.onPointer != nil {
		c.onPointer(c.pointers)
	}
	if err := cmp.Or(c.answers(ctx, "pointer"), c.pointerErr); err != nil {
		return fetch.Known{}, err
	}
	envelope := c.pointer
	if name == "canary" {
		envelope = c.canary
	}
	etag := artifacts.Sum(envelope).Short()
	if known.Pointer != nil && known.ETag == etag {
		c.unchanged++
		return known, nil
	}
	p, err := c.trust.Pointer(envelope, "web", name)
	return fetch.Known{Pointer: p, ETag: etag}, err
}

// roundTrip is the way of a request and its answer.
func (w *world) roundTrip() {
	if w.latency > 0 {
		<-time.After(w.latency)
	}
}

// answers waits for the end of ctx where a source is silent.
func (w *world) answers(ctx context.Context, to string) error {
	w.gate.Lock()
	silent := w.silent
	w.gate.Unlock()
	if silent != to {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

func (c channel) Manifest(ctx context.Context, ref artifacts.Reference) (*artifacts.VerifiedManifest, error) {
	c.roundTrip()
	c.manifested++
	if err := cmp.Or(c.answers(ctx, "manifest"), c.manifestErr); err != nil {
		return nil, err
	}
	return c.trust.Manifest(c.manifests[ref.Version], ref)
}

func (c channel) Blob(_ context.Context, b artifacts.Blob) ([]byte, error) {
	c.roundTrip()
	if data, found := c.contents[b.Key]; found {
		return data, artifacts.CheckSum(b.Key, data, b.Size, b.SHA256)
	}
	return nil, fmt.Errorf("%s: %w", b.Key, bucket.ErrNotFound)
}

func (c channel) Open(ctx context.Context, a artifacts.Artifact, rate config.Rate, s *report.Span) converge.Content {
	return c.OpenChunks(ctx, a, nil, rate, s)
}

func (c channel) OpenChunks(_ context.Context, a artifacts.Artifact, chunks []int, rate config.Rate, s *report.Span) converge.Content {
	c.fetches++
	if c.onFetch != nil {
		c.onFetch()
	}
	c.rates = append(c.rates, rate)
	c.asked = append(c.asked, a.Key)
	in := &content{world: c.world, data: c.contents[a.Key], whole: a.Image != nil, fail: cmp.Or(c.failing[a.Key], c.contentErr)}
	size := a.Size
	if a.Framed() {
		in.frames, size = framesOf(a, in.data, chunks)
	}
	s.AddBytes(size)
	return in
}

// framesOf cuts the chunks that are asked for out of an artifact, or all of them, and
// returns how many bytes they have.
func framesOf(a artifacts.Artifact, data []byte, chunks []int) (frames []tree.Frame, size int64) {
	var at int64
	for i, c := range a.Chunks {
		if len(chunks) == 0 || slices.Contains(chunks, i) {
			frames = append(frames, tree.Frame{Data: data[at : at+c.Size], Plain: c.Plain, Release: func() {}})
			size += c.Size
		}
		at += c.Size
	}
	return frames, size
}

// content yields an artifact in its frames, in two pieces, or one piece and an error.
type content struct {
	world  *world
	data   []byte
	frames []tree.Frame
	whole  bool // it is one chunk
	fail   error
	step   int
}

func (c *content) Close() error { return nil }

func (c *content) Next(ctx context.Context) (tree.Frame, error) {
	if err := c.world.answers(ctx, "content"); err != nil {
		return tree.Frame{}, err
	}
	half := len(c.data) / 2
	c.step++
	if c.whole {
		half = len(c.data)
	}
	switch {
	case c.step <= len(c.frames):
		return c.frames[c.step-1], nil
	case c.frames != nil:
		return tree.Frame{}, io.EOF
	case c.whole && c.step == 2 && c.fail == nil:
		return tree.Frame{}, io.EOF
	case c.step == 1:
		return tree.Frame{Data: c.data[:half], Release: func() {}}, nil
	case c.fail != nil:
		return tree.Frame{}, c.fail
	case c.step == 2:
		return tree.Frame{Data: c.data[half:], At: int64(half), Release: func() {}}, nil
	}
	return tree.Frame{}, io.EOF
}
