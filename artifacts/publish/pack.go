package publish

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"koboshi/artifacts"
	"koboshi/artifacts/tree"
)

// Options say how to pack. The zero value is usable.
type Options struct {
	TempDir  string                  // for the artifact, and for the files of an archive; "" = the system's
	Progress func(done, total int64) // of the bytes that are read; from one goroutine
	Strip    int                     // folders that are taken off the front of every path
	Exclude  []string                // patterns of what is left out, as in .koboshiignore
	App      string                  // what a single file is called in the tree
	Name     string                  // another name for it

	// CodeDeploy maps the scripts of the bundle's appspec.yml to hooks, where Hooks
	// has none.
	CodeDeploy bool

	// What the release brings to be run, and where: what could not be executed
	// there is found.
	Hooks    artifacts.Hooks
	Health   artifacts.Health
	Platform string // "" = not known

	// KeepTimes gives files on instances the times that they have here, in whole
	// seconds, in place of the release's.
	KeepTimes bool
}

// Packed is an artifact that can be released: its bytes, which cannot change any
// more, and its part of the manifest. It must be closed.
type Packed struct {
	artifact  artifacts.Artifact // without keys: they come with app and version
	index     []byte             // nil for a single file, and for a ready image
	entries   []tree.Entry       // of a ready image
	single    string
	file      *os.File // has no name, so nothing is left behind
	deltas    []*packedDelta
	extracted *extracted // for deltas; nil until one is made
}

// Artifact is what the manifest will say, but for the keys.
func (p *Packed) Artifact() artifacts.Artifact { return p.artifact }

// Single is what a single file is called in the tree; empty for anything else.
func (p *Packed) Single() string { return p.single }

// Index is the compressed index of the tree, nil for a single file or a ready image.
func (p *Packed) Index() []byte { return p.index }

// ReadAt reads the artifact's bytes.
func (p *Packed) ReadAt(b []byte, offset int64) (int, error) { return p.file.ReadAt(b, offset) }

// Close releases the disk space.
func (p *Packed) Close() error {
	err := p.file.Close()
	for _, d := range p.deltas {
		err = errors.Join(err, d.file.Close())
	}
	if p.extracted != nil {
		err = errors.Join(err, p.extracted.Close())
	}
	return err
}

// refused adds to a refusal that every instance would refuse as well.
func refused(err error) error {
	if errors.Is(err, tree.ErrRefused) {
		return fmt.Errorf("would be refused on every instance: %w", err)
	}
	return err
}

func writeIndex(entries []tree.Entry) ([]byte, error) {
	var index bytes.Buffer
	err := tree.WriteIndex(&index, entries)
	return index.Bytes(), err
}
