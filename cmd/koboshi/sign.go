package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"koboshi/agent/failure"
	"koboshi/artifacts"
	"koboshi/artifacts/publish"
)

type signOptions struct {
	releaseFlags
	channel, version string
	trust            []string
	remove           string // the id of a key
}

func (c *cli) sign() *cobra.Command {
	var o signOptions
	cmd := &cobra.Command{
		Use:   "sign --source S --app A --version V | --channel C --key FILE...|--remove KEYID --trust FILE...",
		Short: "add a signature to a release's manifest or to a channel's pointer, or take one out",
		Long: "Add a signature, where instances want more than one (trust.threshold). Only what a key of\n" +
			"--trust has signed is signed again: give the public key of the first signature.\n" +
			"Sign a manifest before it is promoted, since a pointer binds its bytes. A pointer counts\n" +
			"on instances only once it has enough signatures: give promote all the keys where you can.\n" +
			"With --remove the signature of a key is taken out, where another one of --trust or --key is left." + releaseExits(failure.Disk, failure.Interrupted),
		Example: "  koboshi sign --source s3://acme-releases/apps --app web --version 1.4.2 --key second.key --trust first.pub\n" +
			"  koboshi sign --source s3://acme-releases/apps --app web --channel stable --remove 1f0c… --trust second.pub",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.runSign(cmd.Context(), o) },
	}
	cmd.Flags().StringVar(&o.channel, "channel", "", "sign the pointer of this `channel`")
	cmd.Flags().StringVar(&o.version, "version", "", "sign the manifest of this `version`")
	cmd.Flags().StringArrayVar(&o.trust, "trust", nil, "public key `FILE` of the first signature")
	cmd.Flags().StringVar(&o.remove, "remove", "", "take the signature of the key with this `KEYID` out, as keygen prints it: 64 hexadecimal digits")
	oneOf(cmd, true, "channel", "version")
	required(o.addKeys(cmd), "trust")
	alsoCheck(cmd, func(*cobra.Command) error { return o.check() })
	return cmd
}

func (o signOptions) check() error {
	var id artifacts.Digest
	switch {
	case len(o.keys) == 0 && o.remove == "":
		return errors.New("want --key or --remove")
	case o.remove != "" && id.UnmarshalText([]byte(o.remove)) != nil:
		return fmt.Errorf("--remove %q: want the id of a key, 64 lower-case hexadecimal digits", beginning(o.remove))
	}
	return nil
}

func (c *cli) runSign(ctx context.Context, o signOptions) error {
	known, err := readPublic(o.trust)
	if err != nil {
		return err
	}
	trust, err := artifacts.NewTrust(version, 1, known...)
	if err != nil {
		return usage(err)
	}
	b, keys, err := o.open(ctx)
	if err != nil {
		return err
	}
	signed, err := publish.AddSignature(ctx, b, publish.Signing{App: o.app, Channel: o.channel, Version: o.version, Keys: keys, Trust: trust, Remove: o.remove, Known: known})
	switch _, bound := errors.AsType[*publish.BoundError](err); {
	case bound && o.remove != "":
		return failure.WithHint(failure.Mark(err, publish.ErrConflict), "a release keeps its signatures while a channel points to it: promote one that the other key has signed first")
	case bound:
		return failure.WithHint(failure.Mark(err, publish.ErrConflict), "publish under a new version, and sign that before it is promoted")
	case errors.Is(err, publish.ErrLast):
		return failure.WithHint(usage(err), "sign it with the next key in the same command: --key; --trust names keys whose signature is there")
	case errors.Is(err, publish.ErrOwn):
		return failure.WithHint(usage(err), "--remove is for the key that goes; --key names those that stay")
	case err != nil && o.version != "":
		return unknownVersion(ctx, err, o.app, o.version, b)
	case err != nil:
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
	Removed string `json:"removed,omitzero"` // the id of the key whose signatures were taken out
	// As in promote; left out where nothing was written.
	Conditions publish.Conditions `json:"conditional_writes,omitzero"`
}

func (c *cli) tellSigned(o signOptions, s publish.Signed) error {
	if !s.Already {
		c.ui.warnOfStore(s.Conditions)
	}
	if o.json {
		return c.ui.printJSON(signedJSON{o.app, o.channel, o.version, s.Already, o.remove, s.Conditions})
	}
	what, word, before := "channel "+o.channel, "signed", "was signed before"
	if o.remove != "" {
		short := o.remove[:12]
		word, before = "has no signature of "+short+" any more", "has no signature of "+short
	}
	if o.version != "" {
		what = o.version
	}
	if s.Already {
		word = before
	}
	c.ui.printf("%s %s %s\n", o.app, what, word)
	return nil
}
