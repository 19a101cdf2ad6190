package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"koboshi/agent/awstest"
	"koboshi/cmd/koboshi/help"
)

// The policy of a bucket that a topic shows denies what is not encrypted, and is
// met by the flags that are shown with it.
func TestTopicHasBucketPolicy(t *testing.T) {
	topic, _ := help.Find("release")
	policy, found := between(topic.Text, "```json\n", "```\n")
	flags, shown := between(topic.Text, "publish … --sse ", " ./dist")
	if !found || !shown {
		t.Fatal("the topic has no policy or no command")
	}
	aws, dir := awstest.New(t), t.TempDir()
	aws.S3().CreateBucket("acme-releases")
	must(t, aws.S3().SetPolicy("acme-releases", policy))
	must(t, writeKeys(dir))
	must(t, os.WriteFile(filepath.Join(dir, "web"), []byte("#!/bin/sh\n"), 0o755)) //nolint:gosec // a program
	for name, value := range map[string]string{"AWS_ENDPOINT_URL": aws.URL(), "AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"} {
		t.Setenv(name, value)
	}
	for _, c := range []struct {
		flags []string
		code  int
	}{{nil, 12}, {append([]string{"--sse"}, strings.Fields(flags)...), 0}} {
		var said bytes.Buffer
		args := append([]string{"publish", "--source", "s3://acme-releases/apps", "--app", "web", "--version", "1", "--key", filepath.Join(dir, "release.key")}, c.flags...)
		if code := run(t.Context(), append(args, filepath.Join(dir, "web")), nil, &said, &said); code != c.code {
			t.Errorf("with %q: exit %d, want %d: %s", c.flags, code, c.code, said.String())
		}
	}
}
