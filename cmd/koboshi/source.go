package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"net/url"
	"path"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"koboshi/agent"
	"koboshi/agent/config"
	"koboshi/agent/status"
	"koboshi/artifacts"
	"koboshi/artifacts/dir"
	"koboshi/artifacts/fetch"
	"koboshi/artifacts/s3"
)

// openSource opens one app's part of a source for reading.
func openSource(cfg aws.Config, source, app string) (fetch.Source, error) {
	u, err := parseSource(source)
	if err != nil {
		return nil, err
	}
	if u.Scheme == "http" || u.Scheme == "https" {
		return fetch.HTTPS(strings.TrimSuffix(source, "/")+"/"+app, nil)
	}
	return openStore(cfg, u, app)
}

// bucket is a source that can be written, too.
type bucket interface {
	fetch.Source
	Put(ctx context.Context, key string, body io.ReaderAt, size int64, when artifacts.Condition) (artifacts.Object, error)
	List(ctx context.Context, prefix string) iter.Seq2[artifacts.Object, error]
}

// openBucket opens one app's part of a source for publishing.
func openBucket(ctx context.Context, source, app string) (bucket, error) {
	if err := artifacts.CheckName(app); err != nil {
		return nil, usage(fmt.Errorf("--app: %w", err))
	}
	u, err := parseSource(source)
	if err != nil {
		return nil, usage(fmt.Errorf("--source: %w", err))
	}
	if u.Scheme != "s3" && u.Scheme != "file" {
		return nil, usage(fmt.Errorf("--source: %s can only be read: want s3://bucket/prefix or file:///directory", source))
	}
	var cfg aws.Config
	if u.Scheme == "s3" {
		if cfg, err = loadAWS(ctx, source+app); err != nil {
			return nil, err
		}
		if cfg.Region == "" {
			return nil, hinted{marked{fmt.Errorf("no AWS region is set"), errConfig}, "set AWS_REGION to the bucket's region"}
		}
	}
	return openStore(forLaptop(cfg), u, app)
}

func openStore(cfg aws.Config, u *url.URL, app string) (bucket, error) {
	if u.Scheme == "file" {
		return dir.New(u.Path, app), nil
	}
	return s3.New(cfg, u.Host, path.Join(strings.Trim(u.Path, "/"), app)), nil
}

func parseSource(source string) (*url.URL, error) {
	if err := config.CheckSource(source); err != nil {
		return nil, err
	}
	return url.Parse(source)
}

// origin is where an agent's documents and artifacts come from: of its sources
// the first that answers for a document is the one that is asked from then on.
type origin struct {
	sources []fetch.Source // at least one; the first is the one in use
	trust   artifacts.Trust
	app     string

	download fetch.Options // without those of one download
}

func (o *origin) Pointer(ctx context.Context, channel string) (p *artifacts.VerifiedPointer, err error) {
	err = o.firstOf(ctx, func(source fetch.Source) error {
		p, err = fetch.Pointer(ctx, source, o.trust, o.app, channel)
		return err
	})
	return p, err
}

func (o *origin) Manifest(ctx context.Context, ref artifacts.Reference) (m *artifacts.VerifiedManifest, err error) {
	err = o.firstOf(ctx, func(source fetch.Source) error {
		m, err = fetch.Manifest(ctx, source, o.trust, ref)
		return err
	})
	return m, err
}

// firstOf asks one source after the other, and stays with the first that
// answers with something that is believed. The error is the first one's.
func (o *origin) firstOf(ctx context.Context, ask func(fetch.Source) error) error {
	var first error
	for i, source := range o.sources {
		err := ask(source)
		if err == nil {
			o.sources[0], o.sources[i] = source, o.sources[0]
			return nil
		}
		if first == nil {
			first = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return first
}

func (o *origin) Blob(ctx context.Context, b artifacts.Blob) ([]byte, error) {
	return fetch.Blob(ctx, o.sources[0], b)
}

func (o *origin) Open(ctx context.Context, a artifacts.Artifact, s *status.Span) agent.Content {
	options := o.download
	options.Progress, options.Attempts = s.AddBytes, s.Attempt
	return fetch.Open(ctx, o.sources[0], a, options)
}
