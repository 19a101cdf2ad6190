package format

import (
	"context"
	"os"

	"koboshi/artifacts"
	"koboshi/artifacts/tree"
)

// file is a single executable, which is written as the app's name. The manifest
// itself says what the tree will be.
type file struct{}

func (file) Info() Info { return Info{Name: artifacts.File, Direct: true} }

func (file) Space(a artifacts.Artifact) Space { return Space{a.UnpackedBytes, a.Entries} }

func (file) Entries(app string, a artifacts.Artifact, _ []byte) ([]tree.Entry, error) {
	return []tree.Entry{{Path: app, Type: tree.TypeFile, Mode: tree.FileMode(0o755), Size: a.Size, SHA256: a.SHA256.String()}}, nil
}

func (f file) Stage(ctx context.Context, dir *os.Root, app string, a artifacts.Artifact, next Next) ([]tree.Entry, error) {
	if err := tree.WriteSingle(ctx, dir, app, options(a), next); err != nil {
		return nil, err
	}
	return f.Entries(app, a, nil)
}

func (file) Verify(ctx context.Context, dir *os.Root, entries []tree.Entry) (tree.Diff, error) {
	return tree.Verify(ctx, dir, entries)
}
