package s3

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// partEntry is a part in a listing.
type partEntry struct {
	PartNumber   int
	LastModified timestamp
	ETag         string
	Size         int64
	checksumElements
}

// partListing is the answer to ListParts.
type partListing struct {
	Bucket, Key          string
	UploadID             string `xml:"UploadId"`
	PartNumberMarker     int
	NextPartNumberMarker int
	MaxParts             int
	IsTruncated          bool
	ChecksumAlgorithm    string `xml:",omitempty"`
	ChecksumType         string `xml:",omitempty"`
	StorageClass         string
	Part                 []partEntry
}

func (s *Store) listParts(w http.ResponseWriter, r *request) error {
	most, err := r.intParam("max-parts", maxKeys, 0, 1<<31-1)
	if err != nil {
		return err
	}
	marker, err := r.intParam("part-number-marker", 0, 0, maxParts)
	if err != nil {
		return err
	}
	l := partListing{Bucket: r.bucket, Key: r.key, PartNumberMarker: marker, MaxParts: min(most, maxKeys), StorageClass: "STANDARD"}
	err = s.within(r.bucket, func(b *keyspace) error {
		u, err := b.upload(r)
		if err == nil {
			l.fill(u)
		}
		return err
	})
	if err == nil {
		writeXML(w, http.StatusOK, document{"ListPartsResult", l})
	}
	return err
}

// fill lists the parts behind the marker.
func (l *partListing) fill(u *upload) {
	l.UploadID, l.ChecksumAlgorithm, l.ChecksumType = u.id, strings.ToUpper(u.algorithm), u.kind
	for _, number := range slices.Sorted(maps.Keys(u.parts)) {
		if number <= l.PartNumberMarker {
			continue
		}
		if len(l.Part) == l.MaxParts {
			l.IsTruncated = true
			return
		}
		p := u.parts[number]
		l.Part = append(l.Part, partEntry{number, timestamp(p.modified), quoteETag(p.md5), p.data.size, p.elements()})
		l.NextPartNumberMarker = number
	}
}

// elements are the checksum of a part: only whole objects have a type of it.
func (p *storedPart) elements() checksumElements {
	e := p.checksum.elements()
	e.ChecksumType = ""
	return e
}

// uploadEntry is an upload in a listing.
type uploadEntry struct {
	Key               string
	UploadID          string `xml:"UploadId"`
	Initiated         timestamp
	StorageClass      string
	ChecksumAlgorithm string `xml:",omitempty"`
	ChecksumType      string `xml:",omitempty"`
}

// uploadListing is the answer to ListMultipartUploads.
type uploadListing struct {
	Bucket, Prefix     string
	KeyMarker          string
	UploadIDMarker     string `xml:"UploadIdMarker"`
	NextKeyMarker      string `xml:",omitempty"`
	NextUploadIDMarker string `xml:"NextUploadIdMarker,omitempty"`
	EncodingType       string `xml:",omitempty"`
	MaxUploads         int
	IsTruncated        bool
	Upload             []uploadEntry
}

func (s *Store) listMultipartUploads(w http.ResponseWriter, r *request) error {
	most, err := r.intParam("max-uploads", maxKeys, 1, maxKeys)
	if err != nil {
		return err
	}
	encode, err := r.encoder()
	if err != nil {
		return err
	}
	prefix, key, id := r.query.Get("prefix"), r.query.Get("key-marker"), r.query.Get("upload-id-marker")
	l := uploadListing{
		Bucket: r.bucket, Prefix: encode(prefix), KeyMarker: encode(key), UploadIDMarker: id,
		EncodingType: r.query.Get("encoding-type"), MaxUploads: most,
	}
	err = s.within(r.bucket, func(b *keyspace) error {
		l.fill(b.uploadsAfter(prefix, key, id), encode)
		return nil
	})
	if err == nil {
		writeXML(w, http.StatusOK, document{"ListMultipartUploadsResult", l})
	}
	return err
}

func (l *uploadListing) fill(uploads []*upload, encode func(string) string) {
	l.IsTruncated = len(uploads) > l.MaxUploads
	for _, u := range uploads[:min(len(uploads), l.MaxUploads)] {
		l.Upload = append(l.Upload, uploadEntry{encode(u.key), u.id, timestamp(u.initiated), "STANDARD", strings.ToUpper(u.algorithm), u.kind})
		if l.IsTruncated {
			l.NextKeyMarker, l.NextUploadIDMarker = encode(u.key), u.id
		}
	}
}

// uploadsAfter returns the uploads to keys with a prefix that stand behind a
// marker, in order of key, then of id.
func (b *keyspace) uploadsAfter(prefix, key, id string) (after []*upload) {
	for _, u := range b.uploads {
		behind := u.key > key || u.key == key && id != "" && u.id > id
		if behind && strings.HasPrefix(u.key, prefix) {
			after = append(after, u)
		}
	}
	slices.SortFunc(after, func(x, y *upload) int {
		return cmp.Or(cmp.Compare(x.key, y.key), cmp.Compare(x.id, y.id))
	})
	return after
}
