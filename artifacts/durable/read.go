package durable

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// ErrUnusable is returned for a file that exists but that [WriteFile] cannot have
// written: not a regular file, or larger than the limit.
var ErrUnusable = errors.New("unusable file")

// ReadFile returns the content of a regular file beneath dir, at most limit
// bytes. Anything else is [ErrUnusable]: a symbolic link is not followed, and a
// FIFO does not block. All other errors are the system's own.
func ReadFile(dir Dir, name string, limit int64) ([]byte, error) {
	info, err := dir.Lstat(name)
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read %s: %w: not a regular file", name, ErrUnusable)
	}
	f, err := dir.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("read %s: %w: more than %d bytes", name, ErrUnusable, limit)
	}
	return data, nil
}
