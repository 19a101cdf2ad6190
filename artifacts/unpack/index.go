package unpack

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/go-json-experiment/json"
	"github.com/klauspost/compress/zstd"
)

// maxLine bounds one line of an index: a path and a target, every byte escaped.
const maxLine = 64 << 10

// WriteIndex writes entries as zstd-compressed JSON lines. The same entries
// give the same bytes.
func WriteIndex(w io.Writer, entries []Entry) error {
	z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	if err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	lines := bufio.NewWriterSize(z, aheadSize)
	for i := range entries {
		line, err := json.Marshal(&entries[i], json.Deterministic(true))
		if err == nil {
			_, err = lines.Write(append(line, '\n'))
		}
		if err != nil {
			return errors.Join(fmt.Errorf("write index: %w", err), z.Close())
		}
	}
	return errors.Join(lines.Flush(), z.Close())
}

// ReadIndex reads what [WriteIndex] wrote, at most maxEntries of them, and
// judges it as strictly as an archive: unknown or repeated keys, paths and
// links that an archive may not have, and a child before its parent are a
// [*RefusedError]. Errors of r are wrapped.
func ReadIndex(r io.Reader, maxEntries int) ([]Entry, error) {
	plain, err := Zstd(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = plain.Close() }() // every error has come with the bytes
	t := newTree(Limits{Bytes: math.MaxInt64, Entries: int64(maxEntries)})
	lines := bufio.NewScanner(plain)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		if err := t.addLine(lines.Bytes()); err != nil {
			return nil, err
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return nil, refuse("", "index: a line of more than %d bytes", maxLine)
	} else if err != nil {
		return nil, err
	}
	if err := t.judgeLinks(); err != nil {
		return nil, err
	}
	return t.entries(), nil
}

func (t *tree) addLine(line []byte) error {
	var e Entry
	if err := json.Unmarshal(line, &e, json.RejectUnknownMembers(true)); err != nil {
		return refuse("", "index: %v", err)
	}
	return t.addListed(&e)
}

// addListed puts an entry into the tree that comes from an index and not from
// an archive.
func (t *tree) addListed(e *Entry) error {
	if err := e.check(); err != nil {
		return err
	}
	added, err := t.add(e)
	if err == nil && len(added) != 1 {
		return refuse(e.Path, "index: comes twice, or before its directory")
	}
	return err
}
