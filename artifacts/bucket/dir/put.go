package dir

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"koboshi/artifacts/bucket"
	"koboshi/artifacts/durable"
	"koboshi/artifacts/pace"
)

const (
	fileMode = 0o644
	lockMode = 0o600 // any process that may open the file may lock it
	dirMode  = 0o755
	lockPoll = 2 * time.Millisecond
)

// Put implements [bucket.Bucket]. The object is on the disk when it returns
// without error.
func (b *Bucket) Put(ctx context.Context, key string, body io.ReaderAt, size int64, when bucket.Condition) (bucket.Object, error) {
	object, err := b.put(ctx, key, io.NewSectionReader(body, 0, size), when)
	if err != nil {
		return bucket.Object{}, b.failed("put", key, err)
	}
	return object, nil
}

func (b *Bucket) put(ctx context.Context, key string, body *io.SectionReader, when bucket.Condition) (bucket.Object, error) {
	root, err := b.open(ctx, key)
	if err != nil {
		return bucket.Object{}, err
	}
	defer func() { _ = root.Close() }()
	directory := path.Dir(b.prefix + key)
	if err := makeDir(root, directory); err != nil {
		return bucket.Object{}, err
	}
	temp := path.Join(directory, durable.TempPrefix+strings.ToLower(rand.Text()))
	if err := writeTemp(ctx, root, temp, body); err != nil {
		return bucket.Object{}, errors.Join(err, discard(root, temp))
	}
	object, err := b.commit(ctx, root, temp, key, when)
	if err != nil {
		return bucket.Object{}, errors.Join(err, discard(root, temp))
	}
	return object, nil
}

// Delete implements [bucket.Bucket]. The object is off the disk when it returns
// without error.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	if err := b.remove(ctx, key); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return b.failed("delete", key, err)
	}
	return nil
}

func (b *Bucket) remove(ctx context.Context, key string) error {
	root, err := b.open(ctx, key)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	release, err := lock(ctx, root)
	if err != nil {
		return err
	}
	defer release()
	if err := root.Remove(b.prefix + key); err != nil {
		return err
	}
	return durable.SyncDir(root, path.Dir(b.prefix+key))
}

// commit compares and renames as one step, as seen by every other writer.
func (b *Bucket) commit(ctx context.Context, root *os.Root, temp, key string, when bucket.Condition) (bucket.Object, error) {
	release, err := lock(ctx, root)
	if err != nil {
		return bucket.Object{}, err
	}
	defer release()
	if err := b.check(root, key, when); err != nil {
		return bucket.Object{}, err
	}
	info, err := root.Lstat(temp)
	if err != nil {
		return bucket.Object{}, err
	}
	return describe(key, info), durable.Rename(root, temp, b.prefix+key)
}

func (b *Bucket) check(root *os.Root, key string, when bucket.Condition) error {
	if when == (bucket.Condition{}) {
		return nil
	}
	info, err := root.Stat(b.prefix + key)
	missing := errors.Is(err, fs.ErrNotExist)
	switch {
	case err != nil && !missing:
		return err
	case when.Absent && !missing:
		return bucket.ErrExists
	case when.ETag != "" && (missing || describe(key, info).ETag != when.ETag):
		return bucket.ErrChanged
	}
	return nil
}

// writeTemp gives the file a time from the nanosecond clock: the kernel's own
// may be the same for two writes within a few milliseconds.
func writeTemp(ctx context.Context, root *os.Root, temp string, body *io.SectionReader) error {
	f, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	n, err := io.Copy(f, until{ctx, body})
	if err == nil && n != body.Size() {
		err = fmt.Errorf("body of %d bytes, want %d: %w", n, body.Size(), io.ErrUnexpectedEOF)
	}
	if err == nil {
		now := time.Now()
		err = root.Chtimes(temp, now, now)
	}
	if err == nil {
		err = f.Chmod(fileMode) // who reads it is none of the publisher's umask's business
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// makeDir makes a directory and its parents, and has them on the disk.
func makeDir(root *os.Root, name string) error {
	if _, err := root.Stat(name); err == nil {
		return nil
	}
	parent := path.Dir(name)
	if parent != name {
		if err := makeDir(root, parent); err != nil {
			return err
		}
	}
	err := root.Mkdir(name, dirMode)
	if err == nil {
		err = root.Chmod(name, dirMode) // whatever the umask
	}
	if err != nil && !errors.Is(err, fs.ErrExist) { // which is another publisher's
		return err
	}
	return durable.SyncDir(root, parent)
}

// discard is a no-op once the file was renamed.
func discard(root *os.Root, temp string) error {
	if err := root.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// lock keeps every other writer out until release. It polls, since a blocking
// flock would outlive the context.
func lock(ctx context.Context, root *os.Root) (release func(), err error) {
	f, err := root.OpenFile(lockName, os.O_RDWR|os.O_CREATE, lockMode)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	if info, err := f.Stat(); err == nil && info.Mode().Perm() != lockMode {
		_ = f.Chmod(lockMode) // where another user has made it, it stays as it is
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(fmt.Errorf("lock: %w", err), f.Close())
		}
		if err := pace.Sleep(ctx, lockPoll); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
}
