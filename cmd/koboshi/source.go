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

// origin is where an agent's documents and artifacts come from: the first of
// its sources that answers for the channel serves the whole round.
type origin struct {
	sources []fetch.Source
	active  fetch.Source
	trust   artifacts.Trust
	app     string
}

func (o *origin) Pointer(ctx context.Context, channel string) (p *artifacts.VerifiedPointer, err error) {
	for _, source := range o.sources {
		o.active = source
		if p, err = fetch.Pointer(ctx, source, o.trust, o.app, channel); err == nil || ctx.Err() != nil {
			return p, err
		}
	}
	return nil, err
}

func (o *origin) Manifest(ctx context.Context, ref artifacts.Reference) (*artifacts.VerifiedManifest, error) {
	return fetch.Manifest(ctx, o.active, o.trust, ref)
}

func (o *origin) Blob(ctx context.Context, b artifacts.Blob) ([]byte, error) {
	return fetch.Blob(ctx, o.active, b)
}

func (o *origin) Open(ctx context.Context, a artifacts.Artifact, s *status.Span) agent.Content {
	return fetch.Open(ctx, o.active, a, fetch.Options{Progress: s.AddBytes, Attempts: s.Attempt})
}
