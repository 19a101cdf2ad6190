package s3

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"koboshi/agent/awstest/faults"
)

// TestChecksumAlgorithms compares the algorithms with their published check
// values, those of the digits 1 to 9 (CRC catalogue, FIPS 180).
func TestChecksumAlgorithms(t *testing.T) {
	for algorithm, want := range map[string]string{
		"crc32":     "\xcb\xf4\x39\x26",
		"crc32c":    "\xe3\x06\x92\x83",
		"crc64nvme": "\xae\x8b\x14\x86\x0a\x79\x98\x88",
		"sha1":      "\xf7\xc3\xbc\x1d\x80\x8e\x04\x73\x2a\xdf\x67\x99\x65\xcc\xc3\x4c\xa7\xae\x34\x41",
	} {
		got := checksumOf(contentOf([]byte("1234"), []byte("56789")), algorithm)
		if got.value != base64.StdEncoding.EncodeToString([]byte(want)) {
			t.Errorf("%s of 123456789 is %s", algorithm, got.value)
		}
	}
}

func TestChecksumsBySDK(t *testing.T) {
	fake := New(time.Now)
	fake.CreateBucket("b")
	plain, secure := httptest.NewServer(fake), httptest.NewTLSServer(fake)
	defer plain.Close()
	defer secure.Close()
	// Over TLS the SDK sends aws-chunked bodies with a trailer.
	for _, server := range []*httptest.Server{plain, secure} {
		client := sdkClient(server)
		for _, algorithm := range []types.ChecksumAlgorithm{"", "CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"} {
			_, err := client.PutObject(t.Context(), &sdk.PutObjectInput{
				Bucket: aws.String("b"), Key: aws.String("k"), Body: strings.NewReader("hello"), ChecksumAlgorithm: algorithm, ContentEncoding: aws.String("zstd"),
			})
			if err != nil {
				t.Errorf("%s %s: %v", server.URL, algorithm, err)
				continue
			}
			got, err := client.GetObject(t.Context(), &sdk.GetObjectInput{Bucket: aws.String("b"), Key: aws.String("k"), ChecksumMode: types.ChecksumModeEnabled})
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(got.Body)
			if err != nil || string(body) != "hello" || *got.ContentEncoding != "zstd" || got.ChecksumType != types.ChecksumTypeFullObject {
				t.Errorf("%s %s: %q, %v, %+v", server.URL, algorithm, body, err, got)
			}
		}
	}
}

// TestSDKSeesCorruption shows that the SDK checks the checksum of an answer.
func TestSDKSeesCorruption(t *testing.T) {
	fake := New(time.Now)
	fake.CreateBucket("b")
	script := faults.New(time.Now, new(faults.Calls))
	server := httptest.NewServer(script.Wrap("s3", Describe, WriteError, fake))
	defer server.Close()
	client := sdkClient(server)
	if _, err := client.PutObject(t.Context(), &sdk.PutObjectInput{Bucket: aws.String("b"), Key: aws.String("k"), Body: strings.NewReader("hello")}); err != nil {
		t.Fatal(err)
	}
	script.Add(faults.Fault{Operation: "GetObject", Corrupt: new(int64(4))})
	read := func(span *string) (string, error) {
		got, err := client.GetObject(t.Context(), &sdk.GetObjectInput{Bucket: aws.String("b"), Key: aws.String("k"), Range: span})
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(got.Body)
		return string(body), err
	}
	if body, err := read(nil); err == nil || !strings.Contains(err.Error(), "checksum did not match") {
		t.Errorf("corrupted whole object: %q, %v", body, err)
	}
	if body, err := read(aws.String("bytes=0-4")); err != nil || body != "helln" {
		t.Errorf("a range has no checksum to check, but: %q, %v", body, err)
	}
}

func TestRejectsWrongChecksums(t *testing.T) {
	fake, server, _ := start(t)
	const (
		md5OfHello    = "XUFAKrxLKna5cZ2REBfFkg=="
		md5OfOther    = "XUFAKrxLKna5cZ2REBfFkQ=="
		sha256OfHello = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
	)
	for _, c := range []struct {
		name   string
		header map[string]string
		code   string
	}{
		{"right MD5", map[string]string{"Content-MD5": md5OfHello}, ""},
		{"wrong MD5", map[string]string{"Content-MD5": md5OfOther}, "BadDigest"},
		{"no MD5", map[string]string{"Content-MD5": "hello"}, "InvalidDigest"},
		{"short MD5", map[string]string{"Content-MD5": "NhCmhg=="}, "InvalidDigest"},
		{"right CRC", map[string]string{"x-amz-checksum-crc32": "NhCmhg=="}, ""},
		{"wrong CRC", map[string]string{"x-amz-checksum-crc32": "NhCmhw=="}, "BadDigest"},
		{"no CRC", map[string]string{"x-amz-checksum-crc32": "!"}, "InvalidRequest"},
		{"CRC as another", map[string]string{"x-amz-checksum-crc32c": "NhCmhg=="}, "BadDigest"},
		{"CRC as a SHA", map[string]string{"x-amz-checksum-sha1": "NhCmhg=="}, "InvalidRequest"},
		{"two", map[string]string{"x-amz-checksum-crc32": "NhCmhg==", "x-amz-checksum-sha1": "qvTGHdzF6KLavt4PO0gs2a6pQ00="}, "InvalidRequest"},
		{"named but not there", map[string]string{"x-amz-sdk-checksum-algorithm": "CRC32"}, "InvalidRequest"},
		{"named otherwise", map[string]string{"x-amz-sdk-checksum-algorithm": "SHA1", "x-amz-checksum-crc32": "NhCmhg=="}, "InvalidRequest"},
		{"a trailer without chunks", map[string]string{"x-amz-trailer": "x-amz-checksum-crc32"}, "InvalidRequest"},
		{"unheard of", map[string]string{"x-amz-checksum-xxhash64": "NhCmhg=="}, "NotImplemented"},
		{"right SHA of the payload", map[string]string{"x-amz-content-sha256": sha256OfHello}, ""},
		{"wrong SHA of the payload", map[string]string{"x-amz-content-sha256": strings.Replace(sha256OfHello, "2", "3", 1)}, "XAmzContentSHA256Mismatch"},
		{"no SHA of the payload", map[string]string{"x-amz-content-sha256": "hello"}, "InvalidArgument"},
		{"unsigned", map[string]string{"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}, ""},
	} {
		fake.Delete("b", "k")
		resp, body := rawRequest(t, "PUT", server.URL+"/b/k", strings.NewReader("hello"), c.header)
		if c.code == "" && resp.StatusCode != http.StatusOK || c.code != "" && !strings.Contains(body, "<Code>"+c.code+"</Code>") {
			t.Errorf("%s: %d %s, want %q", c.name, resp.StatusCode, body, c.code)
		}
		if _, stored := fake.Object("b", "k"); stored != (c.code == "") {
			t.Errorf("%s: stored: %v", c.name, stored)
		}
	}
}

func TestChecksumsOnDownload(t *testing.T) {
	_, server, _ := start(t)
	rawRequest(t, "PUT", server.URL+"/b/k", strings.NewReader("hello"), map[string]string{"x-amz-checksum-crc32": "NhCmhg=="})
	for _, c := range []struct{ mode, span, want string }{
		{"ENABLED", "", "NhCmhg=="}, {"", "", ""}, {"ENABLED", "bytes=0-4", ""},
	} {
		resp, _ := rawRequest(t, "GET", server.URL+"/b/k", nil, map[string]string{"x-amz-checksum-mode": c.mode, "Range": c.span})
		if got := resp.Header.Get("x-amz-checksum-crc32"); got != c.want {
			t.Errorf("mode %q, range %q: %q, want %q", c.mode, c.span, got, c.want)
		}
	}
}

func TestLengths(t *testing.T) {
	_, server, _ := start(t)
	resp, body := rawRequest(t, "PUT", server.URL+"/b/k", io.MultiReader(strings.NewReader("hello")), nil)
	if resp.StatusCode != http.StatusLengthRequired {
		t.Errorf("no length: %d %s", resp.StatusCode, body)
	}
	resp, body = rawRequest(t, "PUT", server.URL+"/b/k", strings.NewReader("x"), map[string]string{"x-amz-meta-a": strings.Repeat("x", 2048)})
	if resp.StatusCode != http.StatusBadRequest || !strings.Contains(body, "MetadataTooLarge") {
		t.Errorf("large metadata: %d %s", resp.StatusCode, body)
	}
}
