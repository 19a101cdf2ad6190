package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/sys/unix"

	"koboshi/artifacts"
	"koboshi/artifacts/durable"
)

// What is in a release's meta/.
const (
	manifestFile = "manifest"
	pointersDir  = "pointers" // one file a channel
	indexFile    = "index"
	completeFile = "complete"
	healthyFile  = "healthy"
)

const maxMetaBytes = 1 << 20 // of complete, healthy and a pointer

// complete is the completion marker. It binds the directory to the manifest and
// artifact from which it was made.
type complete struct {
	App            string           `json:"app"`
	Version        string           `json:"version"`
	ManifestSHA256 artifacts.Digest `json:"manifest_sha256"`
	OS             string           `json:"os"`
	Arch           string           `json:"arch"`
	Artifact       artifacts.Digest `json:"artifact_sha256,omitzero"` // zero = the platform's tree
	IndexSHA256    artifacts.Digest `json:"index_sha256"`             // of the index file
	Seal           string           `json:"seal,omitzero"`            // digest by which the image is sealed; "" = it is not
	Order          int64            `json:"order"`                    // as that of healthy
	Installed      time.Time        `json:"installed"`                // for people
}

// errIncomplete is why a directory is no release.
var errIncomplete = errors.New("incomplete")

func incomplete(format string, args ...any) error {
	return fmt.Errorf("%w: %w", errIncomplete, fmt.Errorf(format, args...))
}

// readMeta reads one file of a release's meta/, and never more than limit
// bytes. A file that is missing, or no regular file, is errIncomplete; a disk
// that cannot be read is [ErrDisk].
func (s *Store) readMeta(id, name string, limit int64) ([]byte, error) {
	f, err := s.root.OpenFile(path.Join(releasesDir, id, metaDir, name), os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, unreadable(name, err)
	}
	defer func() { _ = f.Close() }() // only read
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, incomplete("%s is not a file", name)
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, unreadable(name, err)
	}
	if int64(len(data)) > limit {
		return nil, incomplete("%s is larger than %d bytes", name, limit)
	}
	return data, nil
}

func unreadable(name string, err error) error {
	for _, absent := range []error{fs.ErrNotExist, unix.ENOTDIR, unix.ELOOP} {
		if errors.Is(err, absent) {
			return incomplete("%s: %w", name, err)
		}
	}
	return onDisk("read "+name, err)
}

func (s *Store) readJSON(id, name string, out any) error {
	data, err := s.readMeta(id, name, maxMetaBytes)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, out); err != nil {
		return incomplete("%s: %w", name, err)
	}
	return nil
}

// writeJSON replaces a file of a release's meta/ durably. dir is the
// release, or a tree that is to become one.
func (s *Store) writeJSON(dir, name string, value any) error {
	data, err := json.Marshal(value, json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return s.change("write "+name, func() error {
		return durable.WriteFile(s.root, path.Join(dir, metaDir, name), append(data, '\n'), 0o644)
	})
}
