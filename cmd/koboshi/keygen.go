package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"koboshi/agent/failure"
	"koboshi/artifacts"
)

func (c *cli) keygen() *cobra.Command {
	var out, from string
	cmd := &cobra.Command{
		Use:   "keygen --out DIR/NAME [--from KEY]",
		Short: "make a pair of signing keys, or write the public key of one",
		Long: "Make an Ed25519 key pair: NAME.key (PKCS#8 PEM, mode 0600) signs releases and stays\n" +
			"with the release side; NAME.pub (PKIX PEM) is baked into AMIs and listed in trust.keys.\n" +
			"Keys made by openssl genpkey -algorithm ed25519 work too. With --from only NAME.pub is made: the\n" +
			"public key of what --key would sign with." + exits(failure.OK, failure.Usage, failure.Configuration, failure.Credentials, failure.Fetch, failure.Disk, failure.Interrupted),
		Example: "  koboshi keygen --out keys/release\n" +
			"  koboshi keygen --from exec:./sign-with-vault --out keys/release",
		GroupID: releaseSide,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if from != "" {
				return c.runKeygenFrom(cmd.Context(), from, out, cmd.InOrStdin())
			}
			return c.runKeygen(out)
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "write the public key of this `KEY`, which is named as for --key of publish")
	cmd.Flags().StringVar(&out, "out", "", "`DIR/NAME` of the two files")
	return required(cmd, "out")
}

func (c *cli) runKeygen(out string) error {
	key, err := artifacts.GenerateKey()
	if err != nil {
		return err
	}
	private, err := key.MarshalPEM()
	if err != nil {
		return err
	}
	public, err := key.Public().MarshalPEM()
	if err != nil {
		return err
	}
	if err := create(out+".key", private, 0o600); err != nil {
		return err
	}
	if err := create(out+".pub", public, 0o644); err != nil {
		return errors.Join(err, os.Remove(out+".key"))
	}
	c.ui.printf("%s.key\n%s.pub\nkey id %s\n", out, out, key.Public().ID())
	return nil
}

// runKeygenFrom writes the public key of one that exists.
func (c *cli) runKeygenFrom(ctx context.Context, from, out string, stdin io.Reader) error {
	keys, err := readKeys(ctx, []string{from}, stdin)
	if err != nil {
		return err
	}
	public, err := keys[0].Public().MarshalPEM()
	if err != nil {
		return err
	}
	if err := create(out+".pub", public, 0o644); err != nil {
		return err
	}
	c.ui.printf("%s.pub\nkey id %s\n", out, keys[0].Public().ID())
	return nil
}

// create writes a file that must not exist: a key is never overwritten.
func create(name string, data []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(filepath.Clean(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return failure.WithHint(usage(fmt.Errorf("%s exists", name)), "keys are never overwritten: choose another --out, or move the old pair away")
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return failure.WithHint(usage(unreadable(name, err)), "--out is where the pair is written: its directory has to exist and to be yours")
	}
	if err != nil {
		return ofCaller(unreadable(name, err))
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil { // whatever the umask
		return errors.Join(err, os.Remove(name)) // half a key is none
	}
	return nil
}
