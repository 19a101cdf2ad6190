package unpack

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// cloneMin is from how many bytes on a file shares its blocks with the base.
// To share them is a transaction of the file system, which for a small file
// takes longer than to copy it.
const cloneMin = 64 << 10

// A reuse takes files from a base. A hard link would be quicker, but carry what
// is changed later from one tree into the other. What is hashed is what lands:
// the bytes that are written, or the clone itself.
type reuse struct {
	base, at *place
	buf      []byte // to copy through; on a page boundary, for direct I/O
}

func (r *reuse) file(ctx context.Context, path string, e *Entry) error {
	from, err := r.open(path)
	if err != nil {
		return &AlteredError{path, err}
	}
	defer func() { _ = unix.Close(from) }() // only read
	if e.Size < cloneMin {
		return r.small(from, path, e)
	}
	return r.large(ctx, from, path, e)
}

// empty needs no base.
func (r *reuse) empty(e *Entry) error {
	if sum := sha256.Sum256(nil); hex.EncodeToString(sum[:]) != e.SHA256 {
		return refuse(e.Path, "no bytes have no sha256 %s", e.SHA256)
	}
	f, err := r.at.createFile(e)
	if err != nil {
		return err
	}
	return f.Close()
}

// open opens a file of the base. Whatever is in its place now is no reason to
// wait, and nothing outside of the base.
func (r *reuse) open(path string) (int, error) {
	dir, name, err := r.base.enter(path)
	if err != nil {
		return -1, err
	}
	const flags = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC
	return again(func() (int, error) { return unix.Openat(dir, name, flags, 0) })
}

// small makes do without an os.File, as writeFile does.
func (r *reuse) small(from int, path string, e *Entry) error {
	data := r.buf[:e.Size]
	n, err := readFull(descriptor(from), data)
	if err != nil {
		return &AlteredError{path, err}
	}
	sum := sha256.Sum256(data[:n])
	if err := landed(path, e, int64(n), sum[:]); err != nil {
		return err
	}
	fd, err := r.at.create(e)
	if err != nil {
		return err
	}
	if err = writeAll(fd, data); err != nil {
		err = &fs.PathError{Op: "write", Path: e.Path, Err: err}
	}
	return errors.Join(err, unix.Close(fd))
}

func (r *reuse) large(ctx context.Context, from int, path string, e *Entry) error {
	f, err := r.at.createFile(e)
	if err != nil {
		return err
	}
	sum := sha256.New()
	if unix.IoctlFileClone(int(f.Fd()), from) == nil { //nolint:gosec // a descriptor fits
		n, err := r.hash(ctx, sum, f)
		if err == nil {
			err = landed(path, e, n, sum.Sum(nil))
		}
		return errors.Join(err, f.Close())
	}
	n, err := r.copy(ctx, sum, newLargeFile(f, e.Size), from, path)
	if err == nil {
		err = landed(path, e, n, sum.Sum(nil))
	}
	return err
}

// hash reads a clone, which nobody else can change.
func (r *reuse) hash(ctx context.Context, sum hash.Hash, f *os.File) (n int64, err error) {
	for ctx.Err() == nil {
		m, err := readFull(f, r.buf)
		sum.Write(r.buf[:m])
		if n += int64(m); err != nil || m < len(r.buf) {
			return n, err
		}
	}
	return n, context.Cause(ctx)
}

// copy writes as many bytes as there should be, and closes to.
func (r *reuse) copy(ctx context.Context, sum hash.Hash, to *largeFile, from int, path string) (n int64, err error) {
	for n < to.size && err == nil {
		var m int
		m, err = readFull(descriptor(from), r.buf[:min(int64(len(r.buf)), to.size-n)])
		if err != nil {
			err = &AlteredError{path, err}
		}
		if err != nil || m == 0 {
			break
		}
		sum.Write(r.buf[:m])
		if _, err = to.Write(r.buf[:m]); err == nil {
			err = context.Cause(ctx)
		}
		n += int64(m)
	}
	return n, errors.Join(err, to.Close())
}

// landed compares what has landed with what should have.
func landed(path string, e *Entry, n int64, sum []byte) error {
	if n != e.Size {
		return &AlteredError{path, fmt.Errorf("%d bytes, want %d", n, e.Size)}
	}
	if got := hex.EncodeToString(sum); got != e.SHA256 {
		return &AlteredError{path, fmt.Errorf("sha256 %s, want %s", got, e.SHA256)}
	}
	return nil
}

// descriptor reads a file that has no os.File.
type descriptor int

func (d descriptor) Read(p []byte) (int, error) {
	n, err := again(func() (int, error) { return unix.Read(int(d), p) })
	switch {
	case err != nil:
		return 0, os.NewSyscallError("read", err)
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}
