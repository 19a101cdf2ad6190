package unpack

import (
	"archive/tar"
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"koboshi/artifacts/tree"
)

// A tape is a tar stream written block by block, so that it can be malformed in
// ways that no tar writer allows.
type tape struct{ bytes.Buffer }

// A head is one header block. Zero fields mean the usual value.
type head struct {
	name, link string
	flag       byte   // '0'
	mode       int64  // 0644
	size       int64  // of the body, where the field is not given
	field      string // the size field, verbatim
	magic      string // "ustar\x0000"
	spoil      bool   // the checksum
}

func (t *tape) block(h head) {
	var b [512]byte
	if h.flag == 0 {
		h.flag = tar.TypeReg
	}
	if h.mode == 0 {
		h.mode = 0o644
	}
	if h.field == "" {
		h.field = fmt.Sprintf("%011o", h.size)
	}
	if h.magic == "" {
		h.magic = "ustar\x0000"
	}
	copy(b[0:100], h.name)
	copy(b[100:108], fmt.Sprintf("%07o", h.mode))
	copy(b[108:124], "0000000\x000000000\x00")
	copy(b[124:136], h.field)
	copy(b[136:148], "00000000000\x00")
	b[156] = h.flag
	copy(b[157:257], h.link)
	copy(b[257:265], h.magic)
	setChecksum(b[:])
	if h.spoil {
		b[0]++
	}
	t.Write(b[:])
}

func setChecksum(block []byte) {
	copy(block[148:156], "        ")
	var sum int
	for _, c := range block {
		sum += int(c)
	}
	copy(block[148:156], fmt.Sprintf("%06o\x00 ", sum))
}

func (t *tape) entry(h head, body string) {
	if h.size == 0 {
		h.size = int64(len(body))
	}
	t.block(h)
	t.WriteString(body)
	t.Write(make([]byte, -len(body)&511))
}

func (t *tape) file(name, body string) { t.entry(head{name: name}, body) }
func (t *tape) dir(name string)        { t.block(head{name: name, flag: tar.TypeDir, mode: 0o755}) }
func (t *tape) symlink(name, target string) {
	t.block(head{name: name, link: target, flag: tar.TypeSymlink})
}
func (t *tape) hardlink(name, to string) { t.block(head{name: name, link: to, flag: tar.TypeLink}) }
func (t *tape) end()                     { t.Write(make([]byte, 1024)) }

// pax writes a PAX header: flag x or g, and pairs of key and value.
func (t *tape) pax(flag byte, pairs ...string) {
	var body strings.Builder
	for pair := range slices.Chunk(pairs, 2) {
		body.WriteString(paxRecord(pair[0], pair[1]))
	}
	t.entry(head{name: "PaxHeaders/x", flag: flag}, body.String())
}

func paxRecord(key, value string) string {
	rest := fmt.Sprintf(" %s=%s\n", key, value)
	size := len(rest)
	for size != len(rest)+len(fmt.Sprint(size)) {
		size = len(rest) + len(fmt.Sprint(size))
	}
	return fmt.Sprint(size) + rest
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const roomyBytes = 8 << 20

var roomy = tree.Options{Limits: tree.Limits{Bytes: roomyBytes, Entries: 1000}}

// bufferSize is that of package tree: larger files are streamed.
const bufferSize = 1 << 20
