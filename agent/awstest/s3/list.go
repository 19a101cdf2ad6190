package s3

import (
	"encoding/base64"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// maxKeys is the most keys in one page of a listing.
const maxKeys = 1000

// page is one page of a listing.
type page struct {
	keys      []string
	prefixes  []string // keys rolled up to the delimiter
	last      string   // the last key or prefix on the page
	truncated bool
}

// page lists at most most keys and prefixes that come after a key or prefix.
func (b *keyspace) page(prefix, delimiter, after string, most int) (p page) {
	for _, key := range slices.Sorted(maps.Keys(b.objects)) {
		rest, ok := strings.CutPrefix(key, prefix)
		if !ok || key <= after {
			continue
		}
		entry := key
		head, _, rolled := strings.Cut(rest, delimiter)
		if rolled = rolled && delimiter != ""; rolled {
			entry = prefix + head + delimiter
			if entry == p.last || entry == after {
				continue
			}
		}
		if len(p.keys)+len(p.prefixes) == most {
			p.truncated = most > 0
			return p
		}
		if rolled {
			p.prefixes = append(p.prefixes, entry)
		} else {
			p.keys = append(p.keys, entry)
		}
		p.last = entry
	}
	return p
}

// listEntry is an object in a listing.
type listEntry struct {
	Key               keyText
	LastModified      timestamp
	ETag              string
	Size              int64
	StorageClass      string
	ChecksumAlgorithm string `xml:",omitempty"`
	ChecksumType      string `xml:",omitempty"`
}

// commonPrefix is a prefix in a listing.
type commonPrefix struct{ Prefix keyText }

// listing is the answer to ListObjectsV2.
type listing struct {
	Name                  string
	Prefix                keyText
	Delimiter             string `xml:",omitempty"`
	MaxKeys               int
	EncodingType          string `xml:",omitempty"`
	KeyCount              int
	IsTruncated           bool
	StartAfter            string `xml:",omitempty"`
	ContinuationToken     string `xml:",omitempty"`
	NextContinuationToken string `xml:",omitempty"`
	Contents              []listEntry
	CommonPrefixes        []commonPrefix
}

func (s *Store) listObjectsV2(w http.ResponseWriter, r *request) error {
	encode, err := r.encoder()
	if err != nil {
		return err
	}
	most, err := r.intParam("max-keys", maxKeys, 0, 1<<31-1)
	if err != nil {
		return err
	}
	after, err := r.listAfter()
	if err != nil {
		return err
	}
	prefix, delimiter := r.query.Get("prefix"), r.query.Get("delimiter")
	l := listing{
		Name: r.bucket, Prefix: newKeyText(encode(prefix)), Delimiter: encode(delimiter), MaxKeys: min(most, maxKeys),
		EncodingType: r.query.Get("encoding-type"), StartAfter: encode(r.query.Get("start-after")), ContinuationToken: r.query.Get("continuation-token"),
	}
	err = s.within(r.bucket, func(b *keyspace) error {
		page := b.page(prefix, delimiter, after, l.MaxKeys)
		for _, key := range page.keys {
			l.Contents = append(l.Contents, b.objects[key].entry(encode(key)))
		}
		for _, p := range page.prefixes {
			l.CommonPrefixes = append(l.CommonPrefixes, commonPrefix{newKeyText(encode(p))})
		}
		if l.IsTruncated = page.truncated; l.IsTruncated {
			l.NextContinuationToken = base64.RawURLEncoding.EncodeToString([]byte(page.last))
		}
		return nil
	})
	if err != nil {
		return err
	}
	l.KeyCount = len(l.Contents) + len(l.CommonPrefixes)
	writeXML(w, http.StatusOK, document{"ListBucketResult", l})
	return nil
}

// listAfter is the key or prefix behind which the page begins.
func (r *request) listAfter() (string, error) {
	if !r.query.Has("continuation-token") {
		return r.query.Get("start-after"), nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(r.query.Get("continuation-token"))
	if err != nil || len(raw) == 0 {
		return "", badRequest("InvalidArgument", "The continuation token provided is incorrect")
	}
	return string(raw), nil
}

func (o *object) entry(key string) listEntry {
	return listEntry{
		Key: newKeyText(key), LastModified: timestamp(o.modified), ETag: o.etag, Size: o.data.size, StorageClass: "STANDARD",
		ChecksumAlgorithm: strings.ToUpper(o.checksum.algorithm), ChecksumType: o.checksum.kind,
	}
}
