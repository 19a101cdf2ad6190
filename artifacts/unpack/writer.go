package unpack

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"io/fs"

	"golang.org/x/sys/unix"
)

// writeBackMin is from how many bytes on a write sets out for the disk at once.
// Most bytes of a tree are in few files; all the others wait for the sync of
// the whole tree, which is quicker for many small ones.
const writeBackMin = 64 << 10

// writeBatch writes the small files of one slab.
func (out *output) writeBatch(at *place, s *slab) error {
	data := s.buf
	for _, e := range s.files {
		if err := out.writeFile(at, e, data[:e.Size]); err != nil {
			return err
		}
		data = data[e.Size:]
	}
	return nil
}

// writeFile makes do without an os.File, which costs a small file a twentieth.
func (out *output) writeFile(at *place, e *Entry, data []byte) error {
	fd, err := at.create(e)
	if err != nil {
		return err
	}
	if err = writeAll(fd, data); err != nil {
		err = &fs.PathError{Op: "write", Path: e.Path, Err: err}
	}
	writeBack(fd, 0, len(data))
	if out.hash {
		sum := sha256.Sum256(data)
		e.SHA256 = hex.EncodeToString(sum[:])
	}
	return errors.Join(err, unix.Close(fd))
}

func writeAll(fd int, data []byte) error {
	for len(data) > 0 {
		n, err := again(func() (int, error) { return unix.Write(fd, data) })
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// writeStream writes one large file as its slabs come, until there are no
// more. A stream that broke off is its sender's error.
func (out *output) writeStream(at *place, e *Entry, slabs <-chan *slab) error {
	f, err := at.createFile(e)
	if err != nil {
		return err
	}
	large, sum := newLargeFile(f, e.Size), sha256.New()
	for s := range slabs {
		if err = out.writeSlab(large, sum, s); err != nil {
			break
		}
	}
	if out.hash {
		e.SHA256 = hex.EncodeToString(sum.Sum(nil))
	}
	return errors.Join(err, large.Close())
}

func (out *output) writeSlab(w io.Writer, sum hash.Hash, s *slab) error {
	defer out.give(s)
	if out.hash {
		sum.Write(s.buf[:s.used])
	}
	_, err := w.Write(s.buf[:s.used])
	return err
}

// writeBack begins to bring n bytes of a file to the disk while there is more to
// unpack: a volume is slower than the network. What goes wrong here, the sync
// of the tree finds as well.
func writeBack(fd int, at int64, n int) {
	if n >= writeBackMin {
		_ = unix.SyncFileRange(fd, at, int64(n), unix.SYNC_FILE_RANGE_WRITE)
	}
}
