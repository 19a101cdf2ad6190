package signer

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"koboshi/agent/process"
	"koboshi/artifacts"
)

// Limit is the time that a program has for an answer, and maxPrinted how many bytes of
// its standard output are read.
const (
	Limit      = 10 * time.Second
	maxPrinted = 4 << 10
)

// What a program is asked for, as its only argument.
const (
	askPublic = "public-key" // it prints the public key: PEM, PKIX
	askSign   = "sign"       // it reads the message, and prints the signature in base64
)

// ErrNoProgram is a program that does not exist.
var ErrNoProgram = errors.New("there is no such program")

// Program is the key that a program signs with. It is called without a shell, first for
// the public key and then for each signature, in this environment, and is killed with all
// that it has started when it has not ended after [Limit]. Its standard error explains a
// failure; what it prints on standard output is never shown.
//
// Errors are [ErrNoProgram] and artifacts.ErrSigner, here and when the key signs.
func Program(ctx context.Context, name string) (artifacts.PrivateKey, error) {
	return program{name, Limit}.open(ctx)
}

type program struct {
	name  string
	limit time.Duration // for each answer
}

func (p program) open(ctx context.Context) (artifacts.PrivateKey, error) {
	if !exists(p.name) {
		return artifacts.PrivateKey{}, ErrNoProgram
	}
	printed, err := p.call(ctx, askPublic, nil)
	if err != nil {
		return artifacts.PrivateKey{}, err
	}
	keys, err := artifacts.ParsePublicKeys(printed)
	if err == nil && len(keys) > 1 {
		err = errors.New("more than one public key")
	}
	if err != nil {
		return artifacts.PrivateKey{}, fmt.Errorf("%w: %s %s: %w", artifacts.ErrSigner, p.name, askPublic, err)
	}
	return artifacts.Remote{Public: keys[0], Sign: func(message []byte) ([]byte, error) {
		printed, err := p.call(ctx, askSign, message)
		if err != nil {
			return nil, err
		}
		signature, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(printed)))
		if err != nil || len(printed) == 0 {
			return nil, fmt.Errorf("%w: %s %s has printed %d bytes, want a signature of 64 bytes in base64", artifacts.ErrSigner, p.name, askSign, len(printed))
		}
		return signature, nil
	}}.Key(), nil
}

// exists finds a program as it would be started: one without a slash in PATH.
func exists(name string) bool {
	dirs := []string{""}
	if !strings.Contains(name, "/") {
		dirs = filepath.SplitList(os.Getenv("PATH"))
	}
	for _, dir := range dirs {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.Mode().IsRegular() {
			return true
		}
	}
	return false
}

// call is what the program prints.
func (p program) call(ctx context.Context, ask string, input []byte) ([]byte, error) {
	var printed capped
	_, err := process.Group{}.Run(ctx, process.Command{
		Args: []string{p.name, ask}, Env: os.Environ(), Timeout: p.limit, Input: input, Result: &printed,
	})
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case len(printed) > maxPrinted:
		return nil, fmt.Errorf("%w: %s %s has printed more than %d bytes", artifacts.ErrSigner, p.name, ask, maxPrinted)
	case err != nil:
		return nil, fmt.Errorf("%w: %s: %w", artifacts.ErrSigner, ask, err)
	}
	return printed, nil
}

// capped keeps the beginning of what is written, and one byte more than is read of it.
type capped []byte

// Write implements io.Writer.
func (c *capped) Write(p []byte) (int, error) {
	*c = append(*c, p[:min(len(p), maxPrinted+1-len(*c))]...)
	if len(*c) > maxPrinted {
		return 0, errLong // the program need not print it all
	}
	return len(p), nil
}

var errLong = errors.New("printed too much")
