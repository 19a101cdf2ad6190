package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"

	"koboshi/agent/failure"
	"koboshi/agent/signer"
	"koboshi/artifacts"
)

// What --key may begin with; anything else but - is a file.
const (
	keyVariable = "env:"
	keyProgram  = "exec:"
	keyKMS      = "awskms:"
)

// readKeys reads the signing keys that --key, or --from of keygen, names: files, - for
// standard input, env:NAME for what a variable contains, exec:PROGRAM for a program that
// signs, awskms:ID for a key in KMS.
// Variables that had a key are taken out of the environment, so that no program that is
// started afterwards has it.
func readKeys(ctx context.Context, names []string, stdin io.Reader) ([]artifacts.PrivateKey, error) {
	keys := make([]artifacts.PrivateKey, len(names))
	for _, remote := range []bool{false, true} { // no program is started before all variables are read
		for i, name := range names {
			if isRemote(name) != remote {
				continue
			}
			key, err := readSigningKey(ctx, name, stdin)
			if err != nil {
				return nil, keyError(err)
			}
			if name == "-" {
				stdin = nil
			}
			keys[i] = key
		}
		for _, name := range names {
			if variable, ok := strings.CutPrefix(name, keyVariable); ok {
				_ = os.Unsetenv(variable) // fails for names that no variable has
			}
		}
	}
	return keys, nil
}

func isRemote(name string) bool {
	return strings.HasPrefix(name, keyProgram) || strings.HasPrefix(name, keyKMS)
}

// keyError is the error of a key that could not be read, with a hint that fits.
func keyError(err error) error {
	switch {
	case failure.CodeOf(err) != failure.Internal:
		return err // the table knows it
	case errors.Is(err, fs.ErrPermission):
		return failure.WithHint(usage(err), "the key is in a file that you may not read: run it as its owner")
	case errors.Is(err, signer.ErrNoProgram):
		return failure.WithHint(usage(err), "exec: takes one program, with a path or in PATH, and no arguments; koboshi help security shows what it is asked for")
	}
	return failure.WithHint(usage(err), "a key is named by the file of a private key, - for standard input, env:NAME, exec:PROGRAM or awskms:ID; koboshi keygen makes one, and so does openssl genpkey -algorithm ed25519")
}

// readSigningKey reads one key. A nil stdin is one that was read before.
func readSigningKey(ctx context.Context, name string, stdin io.Reader) (artifacts.PrivateKey, error) {
	variable, isVariable := strings.CutPrefix(name, keyVariable)
	id, isKMS := strings.CutPrefix(name, keyKMS)
	program, isProgram := strings.CutPrefix(name, keyProgram)
	switch {
	case name == "-":
		return readKey("standard input", func(string) ([]byte, error) { return readStdin(stdin) }, artifacts.ParsePrivateKey)
	case isVariable:
		shown := variableShown(variable)
		return readKey(keyVariable+shown, func(string) ([]byte, error) {
			value := os.Getenv(variable)
			if strings.TrimSpace(value) == "" {
				return nil, fmt.Errorf("env:%s: the variable is not set, or empty", shown)
			}
			return []byte(value), nil
		}, artifacts.ParsePrivateKey)
	case isProgram:
		key, err := signer.Program(ctx, program)
		if errors.Is(err, signer.ErrNoProgram) {
			err = fmt.Errorf("exec:%s: %w", beginning(program), err)
		}
		return key, err
	case isKMS:
		return openKMS(ctx, id)
	}
	return readKey(name, readArgument, artifacts.ParsePrivateKey)
}

// usualKMS is what KMS takes for a key. Anything else may be the key itself.
var usualKMS = regexp.MustCompile(`^(arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:(key/[A-Za-z0-9-]{1,64}|alias/[A-Za-z0-9/_-]{1,250})|alias/[A-Za-z0-9/_-]{1,250}|mrk-[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$`)

// openKMS uses the credentials of the release side.
func openKMS(ctx context.Context, id string) (artifacts.PrivateKey, error) {
	if !usualKMS.MatchString(id) {
		return artifacts.PrivateKey{}, fmt.Errorf("awskms:%s: want the id of a key in KMS, its ARN or alias/NAME", beginning(id))
	}
	cfg, err := loadAWS(ctx, id)
	if err != nil {
		return artifacts.PrivateKey{}, err
	}
	if cfg.Region == "" && signer.RegionOf(id) == "" {
		return artifacts.PrivateKey{}, failure.WithHint(failure.Mark(errors.New("no AWS region is set"), failure.ErrConfiguration), "set AWS_REGION to the key's region, or name the key by its ARN")
	}
	key, err := signer.KMS(ctx, forLaptop(cfg), id)
	if err != nil {
		err = fmt.Errorf("awskms:%s: %w", id, err)
	}
	return key, err
}

func readStdin(stdin io.Reader) ([]byte, error) {
	if stdin == nil {
		return nil, errors.New("standard input can be read once, for one key")
	}
	data, err := io.ReadAll(io.LimitReader(stdin, maxFile))
	if err == nil && len(data) == 0 {
		err = errors.New("standard input has no key: it is empty")
	}
	return data, err
}

var usualVariable = regexp.MustCompile(`^[A-Z_][A-Z0-9_]{0,63}$`)

// variableShown is the name of a variable as an error may have it: what does not
// look like one may be the key itself, from a $ too many.
func variableShown(name string) string {
	if usualVariable.MatchString(name) {
		return name
	}
	return beginning(name)
}
