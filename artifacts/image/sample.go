package image

import (
	"embed"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// samples are small images with one file, "sample", compressed once more: by koboshi
// publish --image, and mksquashfs -comp gzip.
//
//go:embed samples/*.zst
var samples embed.FS

// maxSample bounds an image of samples, in bytes.
const maxSample = 64 << 10

// Sample is a small image of a kind, which a kernel mounts that can mount others of the
// kind: it refuses a compression that it does not have.
func Sample(kind string) ([]byte, error) {
	packed, err := samples.ReadFile("samples/" + kind + ".zst")
	if err != nil {
		return nil, fmt.Errorf("no sample of %s: %w", kind, err)
	}
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxSample))
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.DecodeAll(packed, nil)
}
