package unpack

import (
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"koboshi/artifacts/tree"
)

// A source counts and bounds a stream, and keeps the errors of the stream
// apart from those of its parser.
type source struct {
	r   io.Reader
	n   int64 // bytes read
	max int64 // bytes allowed
	err error // first error of the stream that is not its end

	window int64 // of zstd: what is allowed, in bytes
}

func (s *source) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(p)
	s.n += int64(n)
	switch {
	case s.n > s.max:
		s.err = tree.Refuse("", "longer than its limits allow")
		return 0, s.err
	case err != nil && err != io.EOF: // an error that wraps EOF is none of a clean end
		s.err = fmt.Errorf("read the artifact: %w", err)
		return n, s.err
	}
	return n, err
}

// blame decides what a parser's error is: the stream's, or a refusal.
func (s *source) blame(err error) error {
	if s.err != nil {
		return s.err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errTruncated
	}
	if errors.Is(err, zstd.ErrWindowSizeExceeded) {
		return &tree.RefusedError{
			Reason: fmt.Sprintf("its zstd window is larger than the %d MiB that this machine has memory for", s.window>>20),
			Remedy: "the archive is not too large, its window is: compress it without --long, or with --long=27 for machines with more than 1.25 GiB of memory; koboshi publish of the directory needs neither",
		}
	}
	return tree.Refuse("", "%v", err)
}

// readFull fills p. It reads less only where r ends, which is no error, and
// leaves r's errors as they are: io.ReadFull has one of its own for that.
func readFull(r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = r.Read(p[n:])
		n += m
	}
	if n == len(p) || err == io.EOF {
		err = nil
	}
	return n, err
}
