package s3

import (
	"crypto/md5"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// namedPart is a part as CompleteMultipartUpload names it.
type namedPart struct {
	PartNumber int
	ETag       string
	checksumElements
}

func (s *Store) completeMultipartUpload(w http.ResponseWriter, r *request) error {
	condition, err := parseWriteCondition(r.Header)
	if err != nil {
		return err
	}
	named, declared, err := readCompletion(r)
	if err != nil {
		return err
	}
	u, parts, err := s.chosenParts(r, named)
	if err != nil {
		return err
	}
	o := u.assemble(parts, s.now())
	if err := checkWhole(r.Header, declared, o); err != nil {
		return err
	}
	if err := s.commitUpload(r, condition, o); err != nil {
		return err
	}
	o.encryption.setHeaders(w.Header())
	writeXML(w, http.StatusOK, document{"CompleteMultipartUploadResult", struct {
		Location, Bucket, Key, ETag string
		checksumElements
	}{"http://" + r.Host + r.URL.EscapedPath(), r.bucket, r.key, o.etag, o.checksum.elements()}})
	return nil
}

// readCompletion reads the list of parts, and the checksum that the whole
// object must have: here its headers are not about the body.
func readCompletion(r *request) (named []namedPart, declared checksum, err error) {
	if declared, err = declaredChecksum(r.Header); err != nil {
		return nil, declared, err
	}
	r.Header.Del(declared.headerName())
	var request struct{ Part []namedPart }
	err = readDocument(r.Request, &request)
	return request.Part, declared, err
}

// commitUpload stores the object and ends its upload, or does neither where the
// condition is not met.
func (s *Store) commitUpload(r *request, condition writeCondition, o *object) error {
	return s.within(r.bucket, func(b *keyspace) error {
		u, err := b.upload(r)
		if err != nil {
			return err
		}
		if err := condition.check(b, r.key); err != nil {
			return err
		}
		b.objects[r.key] = o
		delete(b.uploads, u.id)
		return nil
	})
}

// chosenParts finds the parts that a request lists. They must be in order, match
// the uploaded ones, and be large enough.
func (s *Store) chosenParts(r *request, named []namedPart) (u *upload, parts []*storedPart, err error) {
	if len(named) == 0 || len(named) > maxParts {
		return nil, nil, errMalformedXML
	}
	for i := range named[1:] {
		if named[i+1].PartNumber <= named[i].PartNumber {
			return nil, nil, badRequest("InvalidPartOrder", "The list of parts was not in ascending order. Parts must be ordered by part number.")
		}
	}
	err = s.within(r.bucket, func(b *keyspace) error {
		if u, err = b.upload(r); err != nil {
			return err
		}
		for i, n := range named {
			part, ok := u.parts[n.PartNumber]
			switch {
			case !ok || !etagListed(n.ETag, quoteETag(part.md5)):
				return errInvalidPart
			case i < len(named)-1 && part.data.size < minPartSize:
				return badRequest("EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size")
			}
			if err := u.checkNamed(n, part); err != nil {
				return err
			}
			parts = append(parts, part)
		}
		return nil
	})
	return u, parts, err
}

// checkNamed compares the checksum that a request gives for a part. An upload
// that declared a composite one must have it for every part.
func (u *upload) checkNamed(n namedPart, part *storedPart) error {
	if field := n.field(part.checksum.algorithm); field != nil && *field != "" && *field != part.checksum.value {
		return errInvalidPart
	}
	if field := n.field(u.algorithm); u.kind == composite && *field == "" {
		return badRequest("InvalidRequest", "The upload was created using a "+u.algorithm+" checksum. The complete request must include the checksum for each part. It was missing for part "+strconv.Itoa(part.number)+" in the request.")
	}
	return nil
}

// assemble makes one object of parts. Its ETag is the MD5 of their MD5s.
func (u *upload) assemble(parts []*storedPart, now time.Time) *object {
	o := &object{modified: now, header: u.header, encryption: u.encryption}
	sums := md5.New()
	for _, p := range parts {
		o.data = contentOf(append(o.data.pieces, p.data.pieces...)...)
		_, _ = sums.Write(p.md5)
	}
	o.etag = strings.TrimSuffix(quoteETag(sums.Sum(nil)), `"`) + "-" + strconv.Itoa(len(parts)) + `"`
	switch u.kind {
	case composite:
		o.checksum = compositeOf(parts, u.algorithm)
	case fullObject:
		o.checksum = checksumOf(o.data, u.algorithm)
	}
	return o
}

// checkWhole compares the size and checksum that a request has for the whole object.
func checkWhole(h http.Header, declared checksum, o *object) error {
	if size := h.Get("X-Amz-Mp-Object-Size"); size != "" && size != strconv.FormatInt(o.data.size, 10) {
		return badRequest("InvalidRequest", "The provided 'x-amz-mp-object-size' header does not match what was computed.")
	}
	declared.kind = o.checksum.kind
	if declared.algorithm != "" && declared != o.checksum {
		return badRequest("BadDigest", "The "+strings.ToUpper(declared.algorithm)+" you specified did not match the calculated checksum.")
	}
	return nil
}
