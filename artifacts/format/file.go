package format

import (
	"context"

	"koboshi/artifacts"
	"koboshi/artifacts/tree"
)

// file is a single executable, which is written under the app's name. The
// manifest alone determines the tree.
type file struct{}

func (file) Info() Info { return Info{Name: artifacts.File, Suffixes: []string{""}, Direct: true} }

func (file) Space(a artifacts.Artifact) Space { return Space{a.UnpackedBytes, a.Entries} }

func (file) Entries(_ context.Context, t Target) ([]tree.Entry, error) {
	return []tree.Entry{{
		Path: t.App, Type: tree.TypeFile, Mode: tree.FileMode(0o755), Size: t.Artifact.Size, SHA256: t.Artifact.SHA256.String(),
	}}, nil
}

func (f file) Stage(ctx context.Context, t Target, next Next) ([]tree.Entry, error) {
	if err := tree.WriteSingle(ctx, t.Tree, t.App, t.Options(), next); err != nil {
		return nil, err
	}
	return f.Entries(ctx, t)
}

func (f file) Verify(ctx context.Context, t Target) (tree.Diff, error) {
	entries, err := f.Entries(ctx, t)
	if err != nil {
		return tree.Diff{}, err
	}
	owner, err := ownerOf(t)
	if err != nil {
		return tree.Diff{}, err
	}
	return tree.Verify(ctx, t.Tree, owner, entries)
}
