package store

import (
	"context"
	"errors"
	"os"
	"sync"

	"koboshi/artifacts/durable"
	"koboshi/artifacts/tree"
)

// writeBackStep is by how many bytes a tree grows in memory before they are sent
// to the disk.
const writeBackStep = 64 << 20

// writeBack brings a tree to the disk. Where that is waited for, it begins while the
// tree is still being made: the kernel alone would keep small files in memory until
// the end, and the final sync would have nothing to run in parallel with.
type writeBack struct {
	root  durable.Dir
	dir   *os.File // opened before the first write, for syncfs to report all that is lost
	grown int64    // since the last step
	steps chan struct{}
	early sync.WaitGroup
	err   error  // of the early ones
	stop  func() // waits for them
}

// newWriteBack is for the tree at top; root has the disk's calls.
func newWriteBack(root durable.Dir, top *os.Root) (*writeBack, error) {
	dir, err := top.Open(".")
	if err != nil {
		return nil, err
	}
	return &writeBack{root: root, dir: dir, stop: func() {}}, nil
}

// begin makes each step of the tree's growth go to the disk at once.
func (w *writeBack) begin() {
	w.steps = make(chan struct{}, 1)
	w.stop = sync.OnceFunc(func() { close(w.steps); w.early.Wait() })
	w.early.Go(func() {
		for range w.steps {
			w.err = errors.Join(w.err, w.syncfs())
		}
	})
}

// grow counts bytes that go into the tree; one goroutine at a time calls it.
func (w *writeBack) grow(n int64) {
	if w.grown += n; w.grown < writeBackStep {
		return
	}
	w.grown = 0
	select {
	case w.steps <- struct{}{}:
	default: // the disk is still busy, or nothing has begun
	}
}

// counted passes content on and counts its bytes for a writeBack.
type counted struct {
	Content
	disk *writeBack
}

func (c counted) Next(ctx context.Context) (tree.Frame, error) {
	f, err := c.Content.Next(ctx)
	c.disk.grow(max(f.Plain, int64(len(f.Data))))
	return f, err
}

// sync writes the rest to the disk in one call: an fsync per file is seven times
// slower. Only close may follow.
func (w *writeBack) sync() error {
	w.stop()
	return errors.Join(w.err, w.syncfs())
}

func (w *writeBack) close() {
	w.stop()
	_ = w.dir.Close() // a directory descriptor
}

func (w *writeBack) syncfs() error { return durable.SyncFS(w.root, w.dir) }
