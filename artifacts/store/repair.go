package store

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"

	"koboshi/artifacts"
	"koboshi/artifacts/delta"
	"koboshi/artifacts/format"
	"koboshi/artifacts/tree"
)

// Repair makes a release again from its own tree: files that are still as
// published are copied, and hashed once more, and the others come from chunks of
// the artifact.
type Repair struct {
	Artifact artifacts.Artifact
	Index    []byte // the signed one, verified
	Chunks   []int  // of the artifact, ascending: what [Input.Content] yields; empty = nothing need be fetched
	Bytes    int64  // of these chunks

	base  Release
	whole []tree.Entry // files that the tree still has
	lacks []tree.Entry // files whose bytes the tree does not have
}

// maxRepair is the largest share of an artifact that a repair fetches: beyond
// it, fetching all takes hardly longer, and reads nothing from the disk.
const maxRepair = 0.5

// Repair plans what to fetch where [Store.Verify] found that a tree differs from
// its index. It is false where the whole artifact is needed, or takes no longer.
// a is what the release was made from, with its chunks. Errors are those of
// [Store.Verify].
func (s *Store) Repair(ctx context.Context, r Release, a artifacts.Artifact, diff tree.Diff) (*Repair, bool, error) {
	how, t, err := s.target(r)
	if err != nil {
		return nil, false, err
	}
	entries, err := how.Entries(ctx, t)
	if err != nil {
		return nil, false, err
	}
	p := &Repair{Artifact: a, Index: t.Index, base: r}
	differs := map[string]bool{}
	for _, name := range slices.Concat(diff.Altered, diff.Removed) {
		differs[name] = true
	}
	has := map[string]bool{} // contents
	for _, e := range entries {
		if e.Type == tree.TypeFile && !differs[e.Path] {
			p.whole, has[e.SHA256] = append(p.whole, e), true
		}
	}
	for _, e := range entries {
		if e.Type == tree.TypeFile && e.Size > 0 && !has[e.SHA256] {
			p.lacks, has[e.SHA256] = append(p.lacks, e), true
		}
	}
	var ok bool
	if p.Chunks, ok = format.Parts(p.Artifact, p.lacks); !ok {
		return nil, false, nil
	}
	for _, i := range p.Chunks {
		p.Bytes += p.Artifact.Chunks[i].Size
	}
	return p, float64(p.Bytes) <= maxRepair*float64(p.Artifact.Size), nil
}

// applyRepair makes the tree that the index describes.
func (s *Store) applyRepair(ctx context.Context, how format.Format, t format.Target, in Input) (entries []tree.Entry, err error) {
	if entries, err = how.Entries(ctx, t); err != nil {
		return nil, err
	}
	base, err := s.root.OpenRoot(path.Join(releasesDir, in.Repair.base.id, treeDir))
	if err != nil {
		return nil, &delta.BaseError{Path: ".", Err: err}
	}
	defer func() { _ = base.Close() }() // only read
	name := stagingName("repair")
	if err := s.root.Mkdir(name, 0o700); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.discard(ctx, name)) }()
	fetched, err := s.root.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = fetched.Close() }() // a directory descriptor
	if err := in.Repair.extract(ctx, in, fetched); err != nil {
		return nil, err
	}
	return entries, delta.Rebuild(ctx, t.Tree, entries, delta.Tree{Root: base, Entries: in.Repair.whole}, fetched, t.Options())
}

// extract puts the files that the tree lacks into dir, by their SHA-256.
func (p *Repair) extract(ctx context.Context, in Input, dir *os.Root) error {
	if len(p.Chunks) == 0 {
		return nil
	}
	return format.Extract(ctx, p.Artifact, p.lacks, in.next, func(e tree.Entry, r io.Reader) error {
		f, err := dir.OpenFile(e.SHA256, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		sum := sha256.New()
		_, err = io.Copy(io.MultiWriter(f, sum), r)
		if got := hex.EncodeToString(sum.Sum(nil)); err == nil && got != e.SHA256 {
			err = fmt.Errorf("%w: %s in the artifact has sha256 %s, its index says %s", artifacts.ErrIntegrity, e.Path, got, e.SHA256)
		}
		return cmp.Or(err, f.Close())
	})
}
