// Package format is what the store and publish need to know of how an
// artifact's bytes become a release's tree.
//
// A further format is one package that has a [Format], and one line in the list
// here. The packages above never ask which format it is.
package format

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"koboshi/artifacts"
	"koboshi/artifacts/tree"
)

// Next yields the verified bytes of an artifact in order, io.EOF after the last.
// It is called by one goroutine and must return when its context ends.
type Next = func(context.Context) (tree.Frame, error)

// Format is one way to read an artifact.
type Format interface {
	// Info is what holds for every artifact of this format.
	Info() Info
	// Space is what the disk must have free for a release of the artifact.
	Space(a artifacts.Artifact) Space
	// Entries is what the tree of the artifact will be. index is the release's
	// own and verified; it is not read where Info says that there is none.
	Entries(app string, a artifacts.Artifact, index []byte) ([]tree.Entry, error)
	// Stage makes dir, which is empty, the tree of the artifact, within its
	// limits, and returns what it made. It succeeds only when next has yielded
	// io.EOF, and every frame is released when it returns. Where the artifact has
	// no index every file is hashed. What is not allowed is tree.ErrRefused;
	// errors of next are passed on, and those of the disk wrapped.
	Stage(ctx context.Context, dir *os.Root, app string, a artifacts.Artifact, next Next) ([]tree.Entry, error)
	// Verify reads the tree again and compares it with what it should be.
	Verify(ctx context.Context, dir *os.Root, entries []tree.Entry) (tree.Diff, error)
}

// Info describes a format.
type Info struct {
	Name     artifacts.Format
	Suffixes []string // of the names of ready artifacts; nil = every name that no other format has
	Indexed  bool     // only an index says what the tree will be; else the manifest does
	Direct   bool     // bytes are written as they come: nothing is decoded
}

// Space is room on a disk.
type Space struct {
	Bytes   int64 // of content
	Entries int64 // files and directories
}

// all are the formats there are.
func all() []Format {
	return []Format{
		archive{Info{Name: artifacts.TarZst, Suffixes: []string{".tar.zst"}, Indexed: true}, openZstd},
		archive{Info{Name: artifacts.TarGz, Suffixes: []string{".tar.gz", ".tgz"}, Indexed: true}, openGzip},
		file{},
	}
}

// Of is the format of an artifact. Where this agent does not know it the error
// is artifacts.ErrTooOld.
func Of(a artifacts.Artifact) (Format, error) {
	for _, f := range all() {
		if f.Info().Name == a.Format {
			return f, nil
		}
	}
	return nil, fmt.Errorf("%w: it has no format %q", artifacts.ErrTooOld, a.Format)
}

// Known reports whether the tree of an artifact is known before it is staged.
func Known(a artifacts.Artifact) bool {
	f, err := Of(a)
	return err == nil && (a.Index != nil || !f.Info().Indexed)
}

// ByName is the format of a ready artifact with this file name. One that looks
// like an archive of another kind is an error.
func ByName(name string) (Format, error) {
	name = strings.ToLower(name)
	has := func(suffix string) bool { return strings.HasSuffix(name, suffix) }
	var rest Format
	for _, f := range all() {
		suffixes := f.Info().Suffixes
		if slices.ContainsFunc(suffixes, has) {
			return f, nil
		}
		if suffixes == nil {
			rest = f
		}
	}
	for _, suffix := range []string{".zip", ".tar", ".tar.xz", ".txz", ".tar.bz2", ".tbz2", ".tar.lz4", ".7z", ".rar"} {
		if has(suffix) {
			return nil, fmt.Errorf("%s archives are not taken: want a directory, a .tar.gz, a .tar.zst or one executable", suffix)
		}
	}
	return rest, nil
}
