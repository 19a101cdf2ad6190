package tree

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/go-json-experiment/json"
	"github.com/klauspost/compress/zstd"
)

const (
	maxLine     = 64 << 10 // of an index: a path and a target, every byte escaped
	maxWindow   = 8 << 20  // of its zstd stream
	indexBuffer = 256 << 10
)

// WriteIndex writes entries as zstd-compressed JSON lines. The same entries
// give the same bytes.
func WriteIndex(w io.Writer, entries []Entry) error {
	z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	if err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	lines := bufio.NewWriterSize(z, indexBuffer)
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

// ReadIndex reads what [WriteIndex] wrote, and checks it as strictly as an
// archive: unknown or repeated keys, paths and links that an archive may not
// have, a child before its parent and more than maxEntries of them are a
// [*RefusedError]. The cause of a context that has ended is the other error.
func ReadIndex(ctx context.Context, data []byte, maxEntries int) ([]Entry, error) {
	l, err := readIndex(ctx, data, maxEntries)
	if err != nil {
		return nil, err
	}
	return l.entries(), nil
}

func readIndex(ctx context.Context, data []byte, maxEntries int) (*listing, error) {
	z, err := zstd.NewReader(bytes.NewReader(data), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, Refuse("", "index: %v", err)
	}
	defer z.Close()
	l := newListing(Limits{Bytes: math.MaxInt64, Entries: int64(maxEntries)})
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		var e Entry
		if err := json.Unmarshal(lines.Bytes(), &e, json.RejectUnknownMembers(true)); err != nil {
			return nil, Refuse("", "index: %v", err)
		}
		if err := l.addIndexed(&e); err != nil {
			return nil, err
		}
	}
	if err := lines.Err(); err != nil {
		return nil, Refuse("", "index: %v", err)
	}
	return l, l.checkLinks(ctx)
}
