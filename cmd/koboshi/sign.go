package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"koboshi/agent/failure"
	"koboshi/artifacts"
	"koboshi/artifacts/publish"
)

type signOptions struct {
	releaseFlags
	channel, version string
	trust            []string
}

func (c *cli) sign() *cobra.Command {
	var o signOptions
	cmd := &cobra.Command{
		Use:   "sign --source S --app A --version V | --channel C --key FILE... --trust FILE...",
		Short: "add a signature to a release's manifest or to a channel's pointer",
		Long: "Add a signature, where instances want more than one (trust.threshold). Only what a key of\n" +
			"--trust has signed is signed again: give the public key of the first signature.\n" +
			"Sign a manifest before it is promoted, since a pointer binds its bytes. A pointer counts\n" +
			"on instances only once it has enough signatures: give promote all the keys where you can." + releaseExits(failure.Disk, failure.Interrupted),
		Example: "  koboshi sign --source s3://acme-releases/apps --app web --version 1.4.2 --key second.key --trust first.pub",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.runSign(cmd.Context(), o) },
	}
	cmd.Flags().StringVar(&o.channel, "channel", "", "sign the pointer of this `channel`")
	cmd.Flags().StringVar(&o.version, "version", "", "sign the manifest of this `version`")
	cmd.Flags().StringArrayVar(&o.trust, "trust", nil, "public key `FILE` of the first signature")
	oneOf(cmd, true, "channel", "version")
	return required(o.addSigning(cmd), "trust")
}

func (c *cli) runSign(ctx context.Context, o signOptions) error {
	trust, err := readTrust(o.trust)
	if err != nil {
		return err
	}
	b, keys, err := o.open(ctx)
	if err != nil {
		return err
	}
	signed, err := publish.AddSignature(ctx, b, publish.Signing{App: o.app, Channel: o.channel, Version: o.version, Keys: keys, Trust: trust})
	if _, bound := errors.AsType[*publish.BoundError](err); bound {
		return failure.WithHint(failure.Mark(err, publish.ErrConflict), "publish under a new version, and sign that before it is promoted")
	}
	if err != nil && o.version != "" {
		return unknownVersion(ctx, err, o.version, b)
	}
	if err != nil {
		return err
	}
	return c.tellSigned(o, signed)
}

// readTrust accepts a document that any of the keys has signed.
func readTrust(names []string) (artifacts.Trust, error) {
	keys, err := readPublic(names)
	if err != nil {
		return artifacts.Trust{}, err
	}
	return artifacts.NewTrust(version, 1, keys...)
}

func readPublic(names []string) (keys []artifacts.PublicKey, err error) {
	for _, name := range names {
		these, err := readKey(name, readArgument, artifacts.ParsePublicKeys)
		if err != nil {
			return nil, usage(err)
		}
		keys = append(keys, these...)
	}
	return keys, nil
}

// signedJSON is the output of sign --json.
type signedJSON struct {
	App     string `json:"app"`
	Channel string `json:"channel,omitzero"`
	Version string `json:"version,omitzero"`
	Already bool   `json:"already"`
	// As in promote; left out where nothing was written.
	Conditions publish.Conditions `json:"conditional_writes,omitzero"`
}

func (c *cli) tellSigned(o signOptions, s publish.Signed) error {
	if !s.Already {
		c.ui.warnOfStore(s.Conditions)
	}
	if o.json {
		return c.ui.printJSON(signedJSON{o.app, o.channel, o.version, s.Already, s.Conditions})
	}
	what, word := "channel "+o.channel, "signed"
	if o.version != "" {
		what = o.version
	}
	if s.Already {
		word = "was signed before"
	}
	c.ui.printf("%s %s %s\n", o.app, what, word)
	return nil
}
