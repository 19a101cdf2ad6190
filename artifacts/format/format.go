// Package format describes, for the store and publish, how an artifact's bytes
// become a release's tree.
//
// A new format is one package with a [Format], and one line in the list here.
// The packages above never ask which format it is.
package format

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"koboshi/artifacts"
	"koboshi/artifacts/image"
	"koboshi/artifacts/tree"
)

// Next yields the verified bytes of an artifact, io.EOF after the last. They come in
// order; those of a format that is Direct may come in any order.
// It is called by one goroutine and must return when its context ends.
type Next = func(context.Context) (tree.Frame, error)

// Format is one way to read an artifact.
type Format interface {
	// Info is true of every artifact of this format.
	Info() Info
	// Space is what a release of the artifact needs on the disk.
	Space(a artifacts.Artifact) Space
	// Entries is what the tree will be. Nothing is read from the disk.
	Entries(ctx context.Context, t Target) ([]tree.Entry, error)
	// Stage makes the release in its directories, which are empty, within the
	// limits of the artifact, and returns the entries of its tree. It succeeds only
	// when next has yielded io.EOF, and every frame is released when it returns.
	// Where there is no index every file is hashed. An artifact that is not allowed
	// is tree.ErrRefused; errors of next are passed on, and those of the disk wrapped.
	Stage(ctx context.Context, t Target, next Next) ([]tree.Entry, error)
	// Verify reads the release again and reports what differs from what was
	// staged.
	Verify(ctx context.Context, t Target) (tree.Diff, error)
}

// Target is an artifact and the release that is made from it.
type Target struct {
	App      string
	Artifact artifacts.Artifact
	Created  time.Time // of the release: the time of all that the artifact has no time for; zero = none is set
	Index    []byte    // verified; nil where there is none, or none is needed
	Window   int64     // bytes of memory that decoding may look back over; 0 = what every decoder has
	Tree     *os.Root  // what the app sees
	Meta     *os.Root  // for other files of a format, such as the image of a mounted tree
}

// Info describes a format.
type Info struct {
	Name     artifacts.Format
	Suffixes []string // of the names of ready artifacts; "" = every name that no other format has; nil = that of another format, see Exact
	Indexed  bool     // the tree is known from an index only; else from the manifest
	Direct   bool     // the chunks of an artifact are written as they come, in any order
	Mount    string   // file system that the kernel mounts; "" = a tree is unpacked
}

// Space is room on a disk.
type Space struct {
	Bytes   int64 // of content
	Entries int64 // files and directories
}

// all are the known formats.
func all() []Format {
	return []Format{
		archive{Info{Name: artifacts.TarZst, Suffixes: []string{".tar.zst"}, Indexed: true}, openZstd},
		archive{Info{Name: artifacts.TarGz, Suffixes: []string{".tar.gz", ".tgz"}, Indexed: true}, openGzip},
		file{},
		mounted{Info{Name: artifacts.Erofs, Suffixes: []string{".erofs"}, Indexed: true, Mount: "erofs"}, erofs, []image.Compression{"", image.LZ4}},
		mounted{Info{Name: artifacts.ErofsLZ4, Indexed: true, Mount: "erofs"}, erofs, []image.Compression{image.LZ4}},
		mounted{Info{Name: artifacts.ErofsZstd, Indexed: true, Mount: "erofs"}, erofs, []image.Compression{image.Zstd}},
		mounted{Info{Name: artifacts.Squashfs, Suffixes: []string{".squashfs", ".sqfs"}, Indexed: true, Mount: "squashfs"}, squashfs, []image.Compression{image.Zstd, image.Gzip}},
		mounted{Info{Name: artifacts.SquashfsGzip, Indexed: true, Mount: "squashfs"}, squashfs, []image.Compression{image.Gzip}},
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

// Images are the formats that are mounted.
func Images() (images []Image) {
	for _, f := range all() {
		if m, ok := f.(Image); ok {
			images = append(images, m)
		}
	}
	return images
}

// Known reports whether the tree of an artifact is known before it is staged.
func Known(a artifacts.Artifact) bool {
	f, err := Of(a)
	return err == nil && (a.Index != nil || !f.Info().Indexed)
}

// ByName is the format of a ready artifact with this file name.
func ByName(name string) Format {
	name = strings.ToLower(name)
	var rest Format
	for _, f := range all() {
		for _, suffix := range f.Info().Suffixes {
			switch {
			case suffix == "":
				rest = f
			case strings.HasSuffix(name, suffix):
				return f
			}
		}
	}
	return rest
}
