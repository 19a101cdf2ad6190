package store

import (
	"errors"
	"io/fs"
	"os"
	"path"

	"github.com/go-json-experiment/json"

	"koboshi/artifacts/durable"
)

// writeDocuments puts everything but the marker into a tree's .koboshi/. It
// need not be durable yet: one sync of the whole tree follows.
func writeDocuments(tree *os.Root, in Input, index []byte) error {
	pointer, err := json.Marshal(seenBy(in.Pointer, in.Seen), json.Deterministic(true))
	if err != nil {
		return err
	}
	if err := makeDir(tree, metaDir); err != nil {
		return err
	}
	return errors.Join(
		writePlain(tree, manifestFile, in.Manifest.Envelope()),
		writePlain(tree, pointerFile, append(pointer, '\n')),
		writePlain(tree, indexFile, index),
		tree.Chmod(".", 0o755),
	)
}

func makeDir(tree *os.Root, name string) error {
	if err := tree.Mkdir(name, 0o755); err != nil {
		return err
	}
	return tree.Chmod(name, 0o755)
}

func writePlain(tree *os.Root, name string, data []byte) error {
	f, err := tree.OpenFile(path.Join(metaDir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Chmod(0o644), f.Close())
}

// publish moves a finished tree to where releases are.
func (s *Store) publish(staged, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	release := path.Join(releasesDir, id)
	if _, err := s.root.Lstat(release); err == nil {
		return s.exchange(staged, release) // the old tree is garbage from now on
	} else if !errors.Is(err, fs.ErrNotExist) {
		return onDisk("publish", err)
	}
	return s.change("publish", func() error { return durable.Rename(s.root, staged, release) })
}

// discard removes a tree that has come to nothing.
func (s *Store) discard(staged string) error {
	return onDisk("discard", s.root.RemoveAll(staged))
}
