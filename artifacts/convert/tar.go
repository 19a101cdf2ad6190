package convert

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"koboshi/artifacts/tree"
)

// maxWindow is the largest window of a zstd stream: that of `zstd --long`.
const maxWindow = 128 << 20

func (r *reader) tar(kind Kind) error {
	if kind == TarXz {
		if err := checkXz(io.NewSectionReader(r, 0, r.size)); err != nil {
			return err
		}
	}
	decoded, closeDecoder, err := decode(kind, bufio.NewReaderSize(io.NewSectionReader(r, 0, r.size), 1<<20))
	if err != nil {
		return refuse("", err)
	}
	defer closeDecoder()
	all := &plain{reader: r, from: decoded}
	from := tar.NewReader(all)
	for {
		hdr, err := from.Next()
		if errors.Is(err, io.EOF) {
			return rest(all)
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return refuse("", err)
		}
		if err := r.tarEntry(hdr, from); err != nil {
			return err
		}
	}
}

func decode(kind Kind, r io.Reader) (io.Reader, func(), error) {
	nothing := func() {}
	switch kind {
	case TarGz:
		z, err := gzip.NewReader(r)
		return z, nothing, err
	case TarXz:
		z, err := xz.NewReader(r)
		return z, nothing, err
	case TarBz2:
		return bzip2.NewReader(r), nothing, nil
	case TarZst:
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	}
	return r, nothing, nil
}

func (r *reader) tarEntry(hdr *tar.Header, body io.Reader) error {
	item := Item{Name: hdr.Name, Was: hdr.FileInfo().Mode(), Modified: hdr.ModTime, Attributes: attributes(hdr), Sparse: sparse(hdr)}
	switch hdr.Typeflag {
	case tar.TypeXGlobalHeader:
		return nil // such as the comment of git archive
	case tar.TypeReg, tar.TypeGNUSparse, tar.TypeCont:
		return r.add(item, body)
	case tar.TypeLink:
		item.Link, item.Hard, item.Modified = hdr.Linkname, true, time.Time{}
	case tar.TypeSymlink:
		item.Link = hdr.Linkname
	case tar.TypeDir, tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
	default:
		return tree.Refuse(hdr.Name, "an entry of type %q", hdr.Typeflag)
	}
	return r.add(item, nil)
}

func sparse(hdr *tar.Header) bool {
	if hdr.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for key := range hdr.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// attributes are the names of the extended attributes that GNU tar, star and
// libarchive record.
func attributes(hdr *tar.Header) (names []string) {
	for key := range hdr.PAXRecords {
		if name, found := strings.CutPrefix(key, "SCHILY.xattr."); found {
			names = append(names, name)
		} else if name, found := strings.CutPrefix(key, "LIBARCHIVE.xattr."); found {
			if decoded, err := url.PathUnescape(name); err == nil {
				name = decoded
			}
			names = append(names, name)
		} else if strings.HasPrefix(key, "SCHILY.acl.") {
			names = append(names, "system.posix_acl_access")
		}
	}
	slices.Sort(names)
	return names
}

// endMark is how many zeros end a tar: one that was cut between two entries has
// fewer. (Two blocks are the standard, and one is written, too.)
const endMark = 512

// rest reads to the end of the stream, so that its checksums are checked. Data
// after the end mark (archives that were joined with cat) would be lost.
func rest(all *plain) error {
	for buf := make([]byte, 32<<10); ; {
		n, err := all.Read(buf)
		switch {
		case len(bytes.Trim(buf[:n], "\x00")) > 0:
			return tree.Refuse("", "data after the end of the archive")
		case errors.Is(err, io.EOF) && all.zeros < endMark:
			return tree.Refuse("", "truncated: it has no end")
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return refuse("", err)
		}
	}
}
