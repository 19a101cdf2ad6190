package s3

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// multipart drives one upload to b/k.
type multipart struct {
	t      *testing.T
	client *sdk.Client
	id     *string
}

func startMultipart(t *testing.T, client *sdk.Client, change func(*sdk.CreateMultipartUploadInput)) multipart {
	t.Helper()
	in := &sdk.CreateMultipartUploadInput{Bucket: aws.String("b"), Key: aws.String("k"), ContentType: aws.String("text/x-test")}
	change(in)
	out, err := client.CreateMultipartUpload(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return multipart{t, client, out.UploadId}
}

// part uploads a part and returns what completes it.
func (m multipart) part(number int32, data []byte) types.CompletedPart {
	m.t.Helper()
	out, err := m.client.UploadPart(m.t.Context(), &sdk.UploadPartInput{
		Bucket: aws.String("b"), Key: aws.String("k"), UploadId: m.id, PartNumber: &number, Body: bytes.NewReader(data),
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return types.CompletedPart{PartNumber: &number, ETag: out.ETag, ChecksumCRC32: out.ChecksumCRC32}
}

func (m multipart) complete(change func(*sdk.CompleteMultipartUploadInput), parts ...types.CompletedPart) (*sdk.CompleteMultipartUploadOutput, error) {
	in := &sdk.CompleteMultipartUploadInput{
		Bucket: aws.String("b"), Key: aws.String("k"), UploadId: m.id, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	}
	change(in)
	return m.client.CompleteMultipartUpload(m.t.Context(), in)
}

func asItIs[T any](*T) {}

// withCRC32 declares a checksum, composite by default.
func withCRC32(in *sdk.CreateMultipartUploadInput) {
	in.ChecksumAlgorithm = types.ChecksumAlgorithmCrc32
}

func TestMultipart(t *testing.T) {
	fake, _, client := start(t)
	m := startMultipart(t, client, asItIs)
	one, two := bytes.Repeat([]byte("1"), minPartSize), []byte("end")
	first := m.part(1, one)
	m.part(7, []byte("overwritten"))
	last := m.part(7, two)
	m.part(9, []byte("left out"))
	if _, ok := fake.Object("b", "k"); ok {
		t.Error("the object is there before the upload is complete")
	}

	out, err := m.complete(asItIs, first, last)
	if err != nil {
		t.Fatal(err)
	}
	// The MD5 of the two parts' MD5s, computed elsewhere.
	const etag = `"88cd588fe8ffee5803be3924e142a06a-2"`
	if *out.ETag != etag {
		t.Errorf("etag %s, want %s", *out.ETag, etag)
	}
	if data, _ := fake.Object("b", "k"); !bytes.Equal(data, slices.Concat(one, two)) {
		t.Errorf("object of %d bytes", len(data))
	}
	head, err := client.HeadObject(t.Context(), &sdk.HeadObjectInput{Bucket: aws.String("b"), Key: aws.String("k")})
	if err != nil || *head.ContentType != "text/x-test" {
		t.Errorf("head: %+v, %v", head, err)
	}
	across, err := client.GetObject(t.Context(), &sdk.GetObjectInput{
		Bucket: aws.String("b"), Key: aws.String("k"), Range: aws.String(fmt.Sprintf("bytes=%d-%d", minPartSize-2, minPartSize+1)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(across.Body); err != nil || string(body) != "11en" {
		t.Errorf("across the seam: %q, %v", body, err)
	}
	_, err = m.complete(asItIs, first, last)
	wantCode(t, err, "NoSuchUpload")
}

func TestMultipartRefusals(t *testing.T) {
	fake, _, client := start(t)
	m := startMultipart(t, client, withCRC32)
	small, large, last := m.part(1, []byte("small")), m.part(2, bytes.Repeat([]byte("2"), minPartSize)), m.part(3, []byte("end"))
	wrong, missing, unproven := large, large, large
	wrong.ETag, missing.PartNumber, unproven.ChecksumCRC32 = small.ETag, aws.Int32(5), nil
	miscounted := large
	miscounted.ChecksumCRC32 = small.ChecksumCRC32
	for _, c := range []struct {
		name  string
		parts []types.CompletedPart
		code  string
	}{
		{"no parts", nil, "MalformedXML"},
		{"small part", []types.CompletedPart{small, last}, "EntityTooSmall"},
		{"out of order", []types.CompletedPart{last, large}, "InvalidPartOrder"},
		{"twice", []types.CompletedPart{large, large}, "InvalidPartOrder"},
		{"wrong etag", []types.CompletedPart{wrong, last}, "InvalidPart"},
		{"missing", []types.CompletedPart{missing}, "InvalidPart"},
		{"wrong checksum", []types.CompletedPart{miscounted, last}, "InvalidPart"},
		{"no checksum", []types.CompletedPart{unproven, last}, "InvalidRequest"},
	} {
		_, err := m.complete(asItIs, c.parts...)
		if errorCode(err) != c.code {
			t.Errorf("%s: %v, want %s", c.name, err, c.code)
		}
	}
	_, err := m.complete(func(in *sdk.CompleteMultipartUploadInput) { in.MpuObjectSize = aws.Int64(1) }, large, last)
	wantCode(t, err, "InvalidRequest")

	for _, number := range []int32{0, 10001} {
		_, err := client.UploadPart(t.Context(), &sdk.UploadPartInput{Bucket: aws.String("b"), Key: aws.String("k"), UploadId: m.id, PartNumber: &number})
		wantCode(t, err, "InvalidArgument")
	}
	_, err = client.UploadPart(t.Context(), &sdk.UploadPartInput{Bucket: aws.String("b"), Key: aws.String("other"), UploadId: m.id, PartNumber: aws.Int32(1)})
	wantCode(t, err, "NoSuchUpload")
	_, err = client.UploadPart(t.Context(), &sdk.UploadPartInput{
		Bucket: aws.String("b"), Key: aws.String("k"), UploadId: m.id, PartNumber: aws.Int32(1), ChecksumAlgorithm: types.ChecksumAlgorithmSha256, Body: strings.NewReader("x"),
	})
	wantCode(t, err, "InvalidRequest")
	if _, ok := fake.Object("b", "k"); ok {
		t.Error("a refused upload left an object")
	}
	// After all this the upload can still be completed.
	_, err = m.complete(asItIs, large, last)
	wantCode(t, err, "")
}

func TestDocuments(t *testing.T) {
	_, server, client := start(t)
	m := startMultipart(t, client, asItIs)
	document := "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>" + *m.part(1, []byte("x")).ETag + "</ETag></Part></CompleteMultipartUpload>"
	for _, c := range []struct {
		name, body string
		status     int
	}{
		{"malformed", "<CompleteMultipartUpload><Part>", http.StatusBadRequest},
		{"too large", "<CompleteMultipartUpload>" + strings.Repeat(" ", maxDocument), http.StatusBadRequest},
		{"trailing", document + "<x/>", http.StatusBadRequest},
		{"in order", document, http.StatusOK},
	} {
		resp, body := rawRequest(t, "POST", server.URL+"/b/k?uploadId="+*m.id, strings.NewReader(c.body), nil)
		if resp.StatusCode != c.status || c.status != http.StatusOK && !strings.Contains(body, "<Code>MalformedXML</Code>") {
			t.Errorf("%s: %d %s", c.name, resp.StatusCode, body)
		}
	}
}

func TestMultipartConditions(t *testing.T) {
	fake, _, client := start(t)
	create := func(in *sdk.CompleteMultipartUploadInput) { in.IfNoneMatch = aws.String("*") }
	m := startMultipart(t, client, asItIs)
	part := m.part(1, []byte("mine"))
	etag := fake.Put("b", "k", []byte("theirs"))
	_, err := m.complete(create, part)
	wantCode(t, err, "PreconditionFailed")
	if data, _ := fake.Object("b", "k"); string(data) != "theirs" {
		t.Errorf("object is %q", data)
	}
	_, err = m.complete(func(in *sdk.CompleteMultipartUploadInput) { in.IfMatch = &etag }, part)
	wantCode(t, err, "")
	m = startMultipart(t, client, asItIs)
	part = m.part(1, []byte("new"))
	_, err = m.complete(func(in *sdk.CompleteMultipartUploadInput) { in.IfMatch = &etag }, part)
	wantCode(t, err, "PreconditionFailed")
}

func TestMultipartAbort(t *testing.T) {
	_, _, client := start(t)
	m := startMultipart(t, client, asItIs)
	part := m.part(1, []byte("x"))
	abort := func() error {
		_, err := client.AbortMultipartUpload(t.Context(), &sdk.AbortMultipartUploadInput{Bucket: aws.String("b"), Key: aws.String("k"), UploadId: m.id})
		return err
	}
	wantCode(t, abort(), "")
	wantCode(t, abort(), "NoSuchUpload")
	_, err := m.complete(asItIs, part)
	wantCode(t, err, "NoSuchUpload")
}

func TestMultipartChecksums(t *testing.T) {
	_, _, client := start(t)
	stored := func() *sdk.HeadObjectOutput {
		head, err := client.HeadObject(t.Context(), &sdk.HeadObjectInput{Bucket: aws.String("b"), Key: aws.String("k"), ChecksumMode: types.ChecksumModeEnabled})
		if err != nil {
			t.Fatal(err)
		}
		return head
	}
	// CRC32 of "hello" is 3610a686, and of those four bytes 14a4e66b.
	m := startMultipart(t, client, withCRC32)
	if _, err := m.complete(asItIs, m.part(1, []byte("hello"))); err != nil {
		t.Fatal(err)
	}
	if head := stored(); aws.ToString(head.ChecksumCRC32) != "FKTmaw==-1" || head.ChecksumType != types.ChecksumTypeComposite {
		t.Errorf("composite: %+v", head)
	}

	full := func(in *sdk.CreateMultipartUploadInput) {
		in.ChecksumAlgorithm, in.ChecksumType = types.ChecksumAlgorithmCrc32, types.ChecksumTypeFullObject
	}
	m = startMultipart(t, client, full)
	part := m.part(1, []byte("hello"))
	declare := func(sum string) func(*sdk.CompleteMultipartUploadInput) {
		return func(in *sdk.CompleteMultipartUploadInput) {
			in.ChecksumCRC32, in.ChecksumType = &sum, types.ChecksumTypeFullObject
		}
	}
	_, err := m.complete(declare("AAAAAA=="), part)
	wantCode(t, err, "BadDigest")
	_, err = m.complete(declare("NhCmhg=="), part)
	wantCode(t, err, "")
	if head := stored(); aws.ToString(head.ChecksumCRC32) != "NhCmhg==" || head.ChecksumType != types.ChecksumTypeFullObject {
		t.Errorf("full object: %+v", head)
	}
	_, err = client.CreateMultipartUpload(t.Context(), &sdk.CreateMultipartUploadInput{
		Bucket: aws.String("b"), Key: aws.String("k"), ChecksumAlgorithm: types.ChecksumAlgorithmSha256, ChecksumType: types.ChecksumTypeFullObject,
	})
	wantCode(t, err, "InvalidRequest")
}
