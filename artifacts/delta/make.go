package delta

import (
	"context"
	"io"
	"os"

	"koboshi/artifacts/tree"
)

// Tree is a directory and what is in it.
type Tree struct {
	Root    *os.Root
	Entries []tree.Entry // with the SHA-256 of every file
}

// Make writes the delta from base to another tree. progress, which may be nil,
// is called with how many of the changed bytes are encoded. The same trees give
// the same bytes.
func Make(ctx context.Context, w io.Writer, base, to Tree, progress func(done, total int64)) error {
	files, total := changed(base, to)
	var done int64
	return Encode(ctx, w, files, func(n int64) {
		if done += n; progress != nil {
			progress(done, total)
		}
	})
}
