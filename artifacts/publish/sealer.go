package publish

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"os"

	"koboshi/artifacts"
)

// sealer takes an artifact's chunks in order, and hashes what it stores.
type sealer struct {
	file   *os.File
	whole  hash.Hash
	size   int64
	chunks []artifacts.Chunk
}

// newSealer stores into a file that has no name by the time it returns: a
// process that is killed leaves nothing.
func newSealer(dir string) (*sealer, error) {
	f, err := os.CreateTemp(dir, "koboshi-artifact-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &sealer{file: f, whole: sha256.New()}, nil
}

// add stores one chunk; plain is what it decodes to, 0 for a bare slice.
func (s *sealer) add(data []byte, plain int) error {
	if s.size+int64(len(data)) > artifacts.MaxArtifactBytes {
		return fmt.Errorf("the artifact has more than %d bytes", int64(artifacts.MaxArtifactBytes))
	}
	if _, err := s.file.Write(data); err != nil {
		return err
	}
	_, _ = s.whole.Write(data) // never fails
	s.size += int64(len(data))
	s.chunks = append(s.chunks, artifacts.Chunk{Size: int64(len(data)), SHA256: artifacts.Sum(data), Plain: int64(plain)})
	return nil
}

// Write stores bytes that are no chunks.
func (s *sealer) Write(p []byte) (int, error) {
	n, err := s.file.Write(p)
	_, _ = s.whole.Write(p[:n]) // never fails
	s.size += int64(n)
	return n, err
}

// seal is the artifact that was stored; where err is not nil it is discarded.
func (s *sealer) seal(format artifacts.Format, found contents, err error) (*Packed, error) {
	if err != nil {
		return nil, errors.Join(err, s.file.Close())
	}
	a := artifacts.Artifact{Format: format, Size: s.size, SHA256: artifacts.Digest(s.whole.Sum(nil)), Chunks: s.chunks,
		UnpackedBytes: found.bytes, Entries: found.entries}
	return &Packed{artifact: a, index: found.index, file: s.file}, nil
}

// contents is what an artifact unpacks to.
type contents struct {
	bytes, entries int64
	index          []byte // compressed
}

// meter is a writer that counts for [Options.Progress].
type meter struct {
	done, total int64
	report      func(done, total int64)
}

func (m *meter) Write(p []byte) (int, error) {
	m.add(int64(len(p)))
	return len(p), nil
}

func (m *meter) add(n int64) {
	if m.done += n; m.report != nil {
		m.report(m.done, m.total)
	}
}
