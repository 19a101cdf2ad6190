package unpack

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"os"

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

func (out *output) writeFile(at *place, e *Entry, data []byte) error {
	f, err := at.createFile(e)
	if err != nil {
		return err
	}
	if len(data) > 0 {
		_, err = f.Write(data)
		writeBack(f, 0, len(data))
	}
	if out.hash {
		sum := sha256.Sum256(data)
		e.SHA256 = hex.EncodeToString(sum[:])
	}
	return errors.Join(err, f.Close())
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

// writeBack begins to bring n bytes of f to the disk while there is more to
// unpack: a volume is slower than the network. What goes wrong here, the sync
// of the tree finds as well.
func writeBack(f *os.File, at int64, n int) {
	if n >= writeBackMin {
		_ = unix.SyncFileRange(int(f.Fd()), at, int64(n), unix.SYNC_FILE_RANGE_WRITE)
	}
}
