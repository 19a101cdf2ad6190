package flush

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"syscall"
)

// tail reads the lines that are appended to a shipper's log. A log that is
// rotated or cut short is read from its beginning.
type tail struct {
	path string
	info os.FileInfo // of the file that was read last
	at   int64       // what was read of it, whole lines
	seen int64       // bytes read in all: it tells one reading from another
}

func newTail(path string) *tail { return &tail{path: path} }

// lines returns the whole lines that were appended since the last call: at first,
// and where there are more, those of the last MiB.
func (t *tail) lines() ([][]byte, error) {
	file, err := os.OpenFile(t.path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", t.path)
	}
	if t.info == nil || !os.SameFile(t.info, info) || info.Size() < t.at {
		t.at = 0
	}
	t.info = info
	skipped := info.Size()-t.at > maxState
	if skipped {
		t.at = info.Size() - maxState
	}
	data, err := io.ReadAll(io.NewSectionReader(file, t.at, maxState))
	if err != nil {
		return nil, err
	}
	whole := bytes.LastIndexByte(data, '\n') + 1
	t.at, t.seen = t.at+int64(whole), t.seen+int64(whole)
	lines := bytes.Split(data[:whole], []byte("\n"))
	if skipped && len(lines) > 0 {
		lines = lines[1:] // the first one was cut off
	}
	return lines, nil
}
