package dir

import (
	"context"
	"errors"
	"io"
	"os"
)

// body is exactly the bytes of one range of a file.
type body struct {
	ctx  context.Context
	file *os.File
	at   int64
	left int64
}

func (b *body) Close() error { return b.file.Close() }

func (b *body) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	if b.left == 0 {
		return 0, io.EOF
	}
	n, err := b.file.ReadAt(p[:min(int64(len(p)), b.left)], b.at)
	b.at, b.left = b.at+int64(n), b.left-int64(n)
	if errors.Is(err, io.EOF) && b.left > 0 {
		err = io.ErrUnexpectedEOF // the file was cut after it was opened
	}
	return n, err
}

// until reads the body of a write for as long as the context lives.
type until struct {
	ctx    context.Context
	reader io.Reader
}

func (u until) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.reader.Read(p)
}
