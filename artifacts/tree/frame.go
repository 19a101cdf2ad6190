package tree

// A Frame is one independent zstd frame, or a piece of another format's bytes.
type Frame struct {
	Data    []byte
	At      int64  // where Data begins in the artifact
	Plain   int64  // bytes that a zstd frame decodes to; 0 = it is none
	Release func() // called once Data is not needed any more; may be nil
}

// Done releases the frame.
func (f Frame) Done() {
	if f.Release != nil {
		f.Release()
	}
}
