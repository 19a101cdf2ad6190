package s3

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
)

const streamingTrailer = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

func TestChunkedUploads(t *testing.T) {
	fake, server, _ := start(t)
	const crc, trailer = "x-amz-checksum-crc32:NhCmhg==\r\n", "x-amz-checksum-crc32"
	for _, c := range []struct {
		name, payload, trailer, size, body, code string
	}{
		{"unsigned", streamingTrailer, trailer, "5", "5\r\nhello\r\n0\r\n" + crc + "\r\n", ""},
		{"several chunks", streamingTrailer, trailer, "5", "1\r\nh\r\n4\r\nello\r\n0\r\n" + crc + "\r\n", ""},
		{"signed", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "", "5", "5;chunk-signature=ad80\r\nhello\r\n0;chunk-signature=b684\r\n\r\n", ""},
		{"signed trailer", streamingTrailer, trailer, "5", "5;chunk-signature=ad80\r\nhello\r\n0;chunk-signature=b6\r\n" + crc + "x-amz-trailer-signature:d8\r\n\r\n", ""},
		{"no trailer", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "", "5", "5\r\nhello\r\n0\r\n\r\n", ""},
		{"wrong checksum", streamingTrailer, trailer, "5", "5\r\nhellO\r\n0\r\n" + crc + "\r\n", "BadDigest"},
		{"announced but missing", streamingTrailer, trailer, "5", "5\r\nhello\r\n0\r\n\r\n", "MalformedTrailerError"},
		{"not announced", streamingTrailer, "", "5", "5\r\nhello\r\n0\r\n" + crc + "\r\n", "MalformedTrailerError"},
		{"trailer twice", streamingTrailer, trailer, "5", "5\r\nhello\r\n0\r\n" + crc + crc + "\r\n", "MalformedTrailerError"},
		{"trailer without colon", streamingTrailer, trailer, "5", "5\r\nhello\r\n0\r\nx-amz-checksum-crc32\r\n\r\n", "MalformedTrailerError"},
		{"shorter than declared", streamingTrailer, trailer, "6", "5\r\nhello\r\n0\r\n" + crc + "\r\n", "IncompleteBody"},
		{"longer than declared", streamingTrailer, trailer, "4", "5\r\nhello\r\n0\r\n" + crc + "\r\n", "IncompleteBody"},
		{"too large", streamingTrailer, trailer, "5368709121", "5\r\nhello\r\n0\r\n" + crc + "\r\n", "EntityTooLarge"},
		{"no declared size", streamingTrailer, trailer, "", "5\r\nhello\r\n0\r\n" + crc + "\r\n", "MissingContentLength"},
		{"cut in a chunk", streamingTrailer, trailer, "5", "5\r\nhel", "IncompleteBody"},
		{"cut before the end", streamingTrailer, trailer, "5", "5\r\nhello\r\n", "IncompleteBody"},
		{"cut in the trailer", streamingTrailer, trailer, "5", "5\r\nhello\r\n0\r\n" + crc, "IncompleteBody"},
		{"chunk longer than its size", streamingTrailer, trailer, "5", "4\r\nhello\r\n0\r\n" + crc + "\r\n", "InvalidRequest"},
		{"no size", streamingTrailer, trailer, "5", "\r\nhello\r\n", "InvalidRequest"},
		{"negative size", streamingTrailer, trailer, "5", "-5\r\nhello\r\n", "InvalidRequest"},
		{"huge size", streamingTrailer, trailer, "5", "fffffffffffffffff\r\nhello\r\n", "InvalidRequest"},
		{"no CR", streamingTrailer, trailer, "5", "5\nhello\r\n", "InvalidRequest"},
		{"endless line", streamingTrailer, trailer, "5", "5;" + strings.Repeat("x", 2*chunkedLine) + "\r\nhello\r\n", "InvalidRequest"},
		{"data behind the end", streamingTrailer, trailer, "5", "5\r\nhello\r\n0\r\n" + crc + "\r\nx", "InvalidRequest"},
		{"unknown payload", "STREAMING-SOMEHOW", trailer, "5", "5\r\nhello\r\n0\r\n" + crc + "\r\n", "InvalidArgument"},
	} {
		fake.Delete("b", "k")
		resp, body := rawRequest(t, "PUT", server.URL+"/b/k", strings.NewReader(c.body), map[string]string{
			"x-amz-content-sha256": c.payload, "x-amz-trailer": c.trailer, "x-amz-decoded-content-length": c.size, "Content-Encoding": "aws-chunked",
		})
		if c.code == "" && resp.StatusCode != http.StatusOK || c.code != "" && !strings.Contains(body, "<Code>"+c.code+"</Code>") {
			t.Errorf("%s: %d %s, want %q", c.name, resp.StatusCode, body, c.code)
		}
		data, stored := fake.Object("b", "k")
		if stored != (c.code == "") || stored && string(data) != "hello" {
			t.Errorf("%s: stored %v %q", c.name, stored, data)
		}
	}
}

func TestChunkedEncodingIsNotKept(t *testing.T) {
	_, server, _ := start(t)
	for sent, kept := range map[string]string{"aws-chunked": "", "aws-chunked,zstd": "zstd", "gzip, aws-chunked": "gzip"} {
		rawRequest(t, "PUT", server.URL+"/b/k", strings.NewReader("0\r\n\r\n"), map[string]string{
			"x-amz-content-sha256": streamingTrailer, "x-amz-decoded-content-length": "0", "Content-Encoding": sent,
		})
		resp, _ := rawRequest(t, "GET", server.URL+"/b/k", nil, map[string]string{"Accept-Encoding": "identity"})
		if got := resp.Header.Get("Content-Encoding"); got != kept || resp.StatusCode != http.StatusOK {
			t.Errorf("%q was kept as %q (%d), want %q", sent, got, resp.StatusCode, kept)
		}
	}
}

// FuzzChunked reads anything without hanging or panicking, with the same result
// however the bytes are split, and reads back what was framed by the rules.
func FuzzChunked(f *testing.F) {
	f.Add([]byte("5\r\nhello\r\n0\r\n\r\n"), uint8(3))
	f.Add([]byte("5;chunk-signature=0\r\nhello\r\n0\r\nx-a:b\r\n\r\n"), uint8(1))
	f.Add([]byte("ffffffffffffffff\r\n"), uint8(0))
	f.Add([]byte("0\r\n\r\nrest"), uint8(9))
	f.Fuzz(func(t *testing.T, raw []byte, chunk uint8) {
		got, err := io.ReadAll(newChunkedReader(bytes.NewReader(raw), "x-a"))
		slow, slowErr := io.ReadAll(newChunkedReader(iotest.OneByteReader(bytes.NewReader(raw)), "x-a"))
		if !bytes.Equal(got, slow) || fmt.Sprint(err) != fmt.Sprint(slowErr) {
			t.Errorf("%q: %q %v at once, %q %v byte by byte", raw, got, err, slow, slowErr)
		}
		if len(got) > len(raw) {
			t.Errorf("%d bytes out of %d", len(got), len(raw))
		}

		reader := newChunkedReader(strings.NewReader(frame(raw, int(chunk)+1)), "x-a")
		back, err := io.ReadAll(reader)
		if err != nil || !bytes.Equal(back, raw) || reader.trailer.Get("x-a") != "b" {
			t.Errorf("%q came back as %q, %v, trailer %v", raw, back, err, reader.trailer)
		}
	})
}

// frame writes data as aws-chunked.
func frame(data []byte, chunk int) string {
	var b strings.Builder
	for len(data) > 0 {
		n := min(chunk, len(data))
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, data[:n])
		data = data[n:]
	}
	return b.String() + "0\r\nX-A: b\r\n\r\n"
}
