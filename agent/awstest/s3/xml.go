package s3

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const namespace = "http://s3.amazonaws.com/doc/2006-03-01/"

// document is an answer: its content's fields stand right below the root.
type document struct {
	root    string
	content any
}

// MarshalXML puts the root into S3's namespace.
func (d document) MarshalXML(e *xml.Encoder, _ xml.StartElement) error {
	return e.EncodeElement(d.content, xml.StartElement{Name: xml.Name{Space: namespace, Local: d.root}})
}

// keyText is a key as S3 writes it: control characters, too, of which XML 1.0 has
// none, so that parsers refuse the whole document. encoding-type=url avoids that.
//
// Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
type keyText struct {
	Escaped string `xml:",innerxml"`
}

func newKeyText(key string) keyText {
	var b strings.Builder
	for _, r := range key {
		if r < ' ' || r == '\x7f' {
			fmt.Fprintf(&b, "&#x%x;", r)
			continue
		}
		_ = xml.EscapeText(&b, []byte(string(r))) // a Builder takes everything
	}
	return keyText{b.String()}
}

// timestamp is written as S3 does: UTC, milliseconds.
type timestamp time.Time

// MarshalText implements encoding.TextMarshaler.
func (t timestamp) MarshalText() ([]byte, error) {
	return []byte(time.Time(t).UTC().Format("2006-01-02T15:04:05.000Z")), nil
}

// checksumElements are a checksum in a document.
type checksumElements struct {
	ChecksumCRC32     string `xml:",omitempty"`
	ChecksumCRC32C    string `xml:",omitempty"`
	ChecksumCRC64NVME string `xml:",omitempty"`
	ChecksumSHA1      string `xml:",omitempty"`
	ChecksumSHA256    string `xml:",omitempty"`
	ChecksumType      string `xml:",omitempty"`
}

func (c checksum) elements() (e checksumElements) {
	if field := e.field(c.algorithm); field != nil {
		*field, e.ChecksumType = c.value, c.kind
	}
	return e
}

// field is the element of an algorithm, nil where there is none.
func (e *checksumElements) field(algorithm string) *string {
	switch algorithm {
	case "crc32":
		return &e.ChecksumCRC32
	case "crc32c":
		return &e.ChecksumCRC32C
	case "crc64nvme":
		return &e.ChecksumCRC64NVME
	case "sha1":
		return &e.ChecksumSHA1
	case "sha256":
		return &e.ChecksumSHA256
	default:
		return nil
	}
}

// readDocument reads a request's body into an XML document. The error is
// errMalformedXML, or that of the body.
func readDocument(r *http.Request, document any) error {
	payload, err := readPayload(r, maxDocument)
	if errors.Is(err, errEntityTooLarge) {
		return errMalformedXML
	}
	if err != nil {
		return err
	}
	decoder := xml.NewDecoder(strings.NewReader(string(payload.data.bytes())))
	if err := decoder.Decode(document); err != nil {
		return errMalformedXML
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errMalformedXML
	}
	return nil
}

// encoder returns how a listing writes keys. With encoding-type=url it leaves
// only what every decoder reads the same way.
func (r *request) encoder() (func(string) string, error) {
	switch r.query.Get("encoding-type") {
	case "":
		return func(s string) string { return s }, nil
	case "url":
		return func(s string) string {
			return strings.NewReplacer("+", "%20", "%2F", "/").Replace(url.QueryEscape(s))
		}, nil
	default:
		return nil, badRequest("InvalidArgument", "Invalid Encoding Method specified in Request")
	}
}
