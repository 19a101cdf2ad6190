package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"koboshi/agent/failure"
	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/s3"
)

// releaseFlags are the flags of every command of the release side.
type releaseFlags struct {
	source, app string
	keys        []string
	stdin       func() io.Reader
	encryption  s3.Encryption
	json        bool
}

func (f *releaseFlags) add(cmd *cobra.Command) *cobra.Command {
	cmd.GroupID = releaseSide
	return f.addBelow(cmd)
}

// addBelow adds the flags to a command below another one.
func (f *releaseFlags) addBelow(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVar(&f.source, "source", "", "where releases are stored: `s3://bucket/prefix[?region=R] or file:///directory`")
	cmd.Flags().StringVar(&f.app, "app", "", "the `app`")
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON")
	return required(cmd, "source", "app")
}

func (f *releaseFlags) addSigning(cmd *cobra.Command) *cobra.Command {
	return required(f.addKeys(cmd), "key")
}

// addKeys adds the flags of a command that signs, if it is given keys.
func (f *releaseFlags) addKeys(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringArrayVar(&f.keys, "key", nil, "private key that signs: a `FILE`, - for standard input, env:NAME for a variable, awskms:ID or exec:PROGRAM for a key that is kept elsewhere; repeat it for several signatures")
	addEncryption(cmd, &f.encryption)
	f.stdin = cmd.InOrStdin
	return f.add(cmd)
}

// open reads the keys and opens the app's part of the source.
func (f *releaseFlags) open(ctx context.Context, settings ...func(*s3.Bucket)) (bucket.Bucket, []artifacts.PrivateKey, error) {
	if err := checkEncryption(f.source, f.encryption); err != nil {
		return nil, nil, err
	}
	keys, err := readKeys(ctx, f.keys, f.stdin())
	if err != nil {
		return nil, nil, err
	}
	ignoreSIGPIPE()
	b, err := openBucket(ctx, f.source, f.app, append(settings, func(b *s3.Bucket) { b.Encryption = f.encryption })...)
	return b, keys, err
}

// releaseExits are the exit codes that all of these commands share.
func releaseExits(more ...failure.Code) string {
	return exits(append([]failure.Code{failure.OK, failure.Usage, failure.Configuration, failure.Credentials, failure.Resolve, failure.Untrusted, failure.Fetch, failure.Integrity}, more...)...)
}
