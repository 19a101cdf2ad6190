package s3

import (
	"testing"

	"koboshi/artifacts"
)

func TestPartSize(t *testing.T) {
	for _, size := range []int64{partBytes + 1, 100 << 20, partBytes * maxParts, partBytes*maxParts + 1, artifacts.MaxArtifactBytes} {
		each := partSize(size)
		if parts := (size + each - 1) / each; parts < 2 || parts > maxParts || each < partBytes || each > 5<<30 {
			t.Errorf("%d bytes: %d parts of %d, which S3 does not take", size, parts, each)
		}
	}
}
