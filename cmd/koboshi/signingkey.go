package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"

	"koboshi/agent/failure"
	"koboshi/artifacts"
)

// readKeys reads the signing keys that --key names: files, - for standard input,
// env:NAME for what a variable contains.
func readKeys(names []string, stdin io.Reader) ([]artifacts.PrivateKey, error) {
	var keys []artifacts.PrivateKey
	for _, name := range names {
		key, err := readSigningKey(name, stdin)
		if errors.Is(err, fs.ErrPermission) {
			return nil, failure.WithHint(usage(err), "--key names a file that you may not read: run it as its owner")
		}
		if err != nil {
			return nil, failure.WithHint(usage(err), "--key takes the file of a private key, - for standard input or env:NAME; koboshi keygen makes one, and so does openssl genpkey -algorithm ed25519")
		}
		if name == "-" {
			stdin = nil
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// readSigningKey reads one key. A nil stdin is one that was read before.
func readSigningKey(name string, stdin io.Reader) (artifacts.PrivateKey, error) {
	variable, isVariable := strings.CutPrefix(name, "env:")
	switch {
	case name == "-":
		return readKey("standard input", func(string) ([]byte, error) { return readStdin(stdin) }, artifacts.ParsePrivateKey)
	case isVariable:
		variable = variableShown(variable)
		return readKey("env:"+variable, func(string) ([]byte, error) {
			value := os.Getenv(strings.TrimPrefix(name, "env:"))
			if strings.TrimSpace(value) == "" {
				return nil, fmt.Errorf("--key env:%s: the variable is not set, or empty", variable)
			}
			return []byte(value), nil
		}, artifacts.ParsePrivateKey)
	}
	return readKey(name, readArgument, artifacts.ParsePrivateKey)
}

func readStdin(stdin io.Reader) ([]byte, error) {
	if stdin == nil {
		return nil, errors.New("--key -: standard input can be read once, for one key")
	}
	data, err := io.ReadAll(io.LimitReader(stdin, maxFile))
	if err == nil && len(data) == 0 {
		err = errors.New("--key -: standard input is empty")
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
