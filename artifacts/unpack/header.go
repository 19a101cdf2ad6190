package unpack

import (
	"archive/tar"
	"bytes"
	"net/url"
	"strings"

	"koboshi/artifacts/tree"
)

// forbidden are the types that are refused by their flag. archive/tar would
// silently fill the holes of a sparse file.
var forbidden = map[byte]string{
	tar.TypeChar:      "a character device",
	tar.TypeBlock:     "a block device",
	tar.TypeFifo:      "a FIFO",
	tar.TypeGNUSparse: "a sparse file",
	tar.TypeCont:      "a contiguous file",
}

// parse returns the header of one entry from its blocks.
func parse(blocks []byte) (*tar.Header, error) {
	hdr, err := tar.NewReader(bytes.NewReader(blocks)).Next()
	switch name := rawName(blocks[len(blocks)-blockSize:]); {
	case err == nil:
		return hdr, nil
	case bytes.Contains(blocks, []byte(sparsePrefix)):
		return nil, tree.Refuse(name, "a sparse file")
	default:
		return nil, tree.Refuse(name, "malformed header: %v", err)
	}
}

const (
	sparsePrefix = "GNU.sparse."
	starSparse   = "SCHILY.realsize"
	capability   = ".security.capability"
)

// checkRecords refuses PAX records that archive/tar does not check. libarchive
// writes the names of attributes URL-encoded.
func checkRecords(hdr *tar.Header) error {
	for key := range hdr.PAXRecords {
		if strings.HasPrefix(key, sparsePrefix) || key == starSparse {
			return tree.Refuse(hdr.Name, "a sparse file")
		}
		if decoded, err := url.PathUnescape(key); err != nil || strings.HasSuffix(decoded, capability) {
			return tree.Refuse(hdr.Name, "a file capability, or an attribute that hides its name: %q", tree.Clip(key))
		}
	}
	return nil
}
