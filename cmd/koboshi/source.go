package main

import (
	"context"
	"fmt"
	"net/url"
	"path"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"koboshi/agent/config"
	"koboshi/agent/failure"
	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/dir"
	"koboshi/artifacts/bucket/https"
	"koboshi/artifacts/bucket/s3"
)

// openSource opens one app's part of a source for reading. seed is for the jitter
// of pauses between tries, where cfg has none.
func openSource(cfg aws.Config, source, app, seed string) (bucket.Reader, error) {
	u, err := parseSource(source)
	if err != nil {
		return nil, err
	}
	if u.Scheme == "http" || u.Scheme == "https" {
		return https.New(strings.TrimSuffix(source, "/")+"/"+app, seed, nil)
	}
	return openStore(cfg, u, app), nil
}

// openBucket opens one app's part of a source for publishing. Where that is S3, the
// settings are applied to it.
func openBucket(ctx context.Context, source, app string, settings ...func(*s3.Bucket)) (bucket.Bucket, error) {
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
		if cfg.Region == "" && regionOf(u) == "" {
			return nil, failure.WithHint(failure.Mark(fmt.Errorf("no AWS region is set"), failure.ErrConfiguration), "set AWS_REGION to the bucket's region, or write it behind the source: ?region=eu-west-1")
		}
	}
	b := openStore(forLaptop(cfg), u, app)
	if inS3, ok := b.(*s3.Bucket); ok {
		for _, set := range settings {
			set(inS3)
		}
	}
	return b, nil
}

func openStore(cfg aws.Config, u *url.URL, app string) bucket.Bucket {
	if u.Scheme == "file" {
		return dir.New(u.Path, app)
	}
	if region := regionOf(u); region != "" {
		cfg.Region = region
	}
	return s3.New(cfg, u.Host, path.Join(strings.Trim(u.Path, "/"), app))
}

// regionOf is the region in a source's URL, "" where that of the environment or the
// instance is used.
func regionOf(source *url.URL) string { return source.Query().Get("region") }

func inS3(source string) bool { return strings.HasPrefix(source, "s3://") }

// lacksRegion reports whether a source needs the region of the environment or the
// instance.
func lacksRegion(source string) bool {
	u, err := parseSource(source)
	return err == nil && u.Scheme == "s3" && regionOf(u) == ""
}

func parseSource(source string) (*url.URL, error) {
	if err := config.CheckSource(source); err != nil {
		return nil, err
	}
	return url.Parse(source)
}
