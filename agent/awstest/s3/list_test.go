package s3

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// listed is what a listing shows, prefixes behind keys.
func listed(keys []types.Object, prefixes []types.CommonPrefix) (names []string) {
	for _, o := range keys {
		names = append(names, *o.Key)
	}
	for _, p := range prefixes {
		names = append(names, *p.Prefix)
	}
	return names
}

func TestList(t *testing.T) {
	fake, _, client := start(t)
	for _, key := range []string{"a", "b/1", "b/2", "b/c/1", "d d/+1", "e"} {
		fake.Put("b", key, []byte(key))
	}
	for _, c := range []struct {
		name string
		in   sdk.ListObjectsV2Input
		want []string
	}{
		{"everything", sdk.ListObjectsV2Input{}, []string{"a", "b/1", "b/2", "b/c/1", "d d/+1", "e"}},
		{"prefix", sdk.ListObjectsV2Input{Prefix: aws.String("b/")}, []string{"b/1", "b/2", "b/c/1"}},
		{"delimiter", sdk.ListObjectsV2Input{Delimiter: aws.String("/")}, []string{"a", "e", "b/", "d d/"}},
		{"both", sdk.ListObjectsV2Input{Prefix: aws.String("b/"), Delimiter: aws.String("/")}, []string{"b/1", "b/2", "b/c/"}},
		{"after", sdk.ListObjectsV2Input{StartAfter: aws.String("b/2")}, []string{"b/c/1", "d d/+1", "e"}},
		{"none", sdk.ListObjectsV2Input{Prefix: aws.String("z")}, nil},
		{"nothing asked", sdk.ListObjectsV2Input{MaxKeys: aws.Int32(0)}, nil},
	} {
		c.in.Bucket = aws.String("b")
		out, err := client.ListObjectsV2(t.Context(), &c.in)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got := listed(out.Contents, out.CommonPrefixes); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if int(*out.KeyCount) != len(c.want) || *out.IsTruncated {
			t.Errorf("%s: count %d, truncated %v", c.name, *out.KeyCount, *out.IsTruncated)
		}
	}
	out, err := client.ListObjectsV2(t.Context(), &sdk.ListObjectsV2Input{Bucket: aws.String("b"), Prefix: aws.String("a")})
	if err != nil || *out.Contents[0].Size != 1 || *out.Contents[0].ETag != `"0cc175b9c0f1b6a831c399e269772661"` || out.Contents[0].LastModified.IsZero() {
		t.Errorf("entry: %+v, %v", out.Contents, err)
	}
	_, err = client.ListObjectsV2(t.Context(), &sdk.ListObjectsV2Input{Bucket: aws.String("none")})
	wantCode(t, err, "NoSuchBucket")
}

// TestListPages goes through all pages of every size: nothing may be lost or
// come twice, with a delimiter or without.
func TestListPages(t *testing.T) {
	fake, _, client := start(t)
	for _, key := range []string{"a", "b/", "b/1", "b/2", "b0", "c/1", "d", "é/1"} {
		fake.Put("b", key, nil)
	}
	for _, delimiter := range []*string{nil, aws.String("/")} {
		want := []string{"a", "b/", "b/1", "b/2", "b0", "c/1", "d", "é/1"}
		if delimiter != nil {
			want = []string{"a", "b/", "b0", "c/", "d", "é/"}
		}
		for size := int32(1); size <= 9; size++ {
			var got []string
			pages := sdk.NewListObjectsV2Paginator(client, &sdk.ListObjectsV2Input{Bucket: aws.String("b"), Delimiter: delimiter, MaxKeys: &size})
			for pages.HasMorePages() {
				page, err := pages.NextPage(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if int(*page.KeyCount) > int(size) {
					t.Errorf("page of %d when %d were asked for", *page.KeyCount, size)
				}
				got = append(got, listed(page.Contents, page.CommonPrefixes)...)
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("pages of %d: %q, want %q", size, got, want)
			}
		}
	}
}

func TestListDocuments(t *testing.T) {
	fake, server, _ := start(t)
	fake.Put("b", "x y/+&ü", nil)
	fake.Put("b", "x y/\x01", nil)
	for query, wants := range map[string][]string{
		"list-type=2&encoding-type=url&prefix=x+y%2F": {"<Key>x%20y/%2B%26%C3%BC</Key>", "<Key>x%20y/%01</Key>", "<Prefix>x%20y/</Prefix>", "<EncodingType>url</EncodingType>"},
		"list-type=2&prefix=x+y%2F%2B":                {"<Key>x y/+&amp;ü</Key>"},
		"list-type=2":                                 {"<Key>x y/&#x1;</Key>"}, // as S3 does, though it is not XML
		"list-type=2&max-keys=5000":                   {"<MaxKeys>1000</MaxKeys>", "<IsTruncated>false</IsTruncated>"},
		"list-type=2&max-keys=-1":                     {"<Code>InvalidArgument</Code>"},
		"list-type=2&max-keys=x":                      {"<Code>InvalidArgument</Code>"},
		"list-type=2&continuation-token=%21":          {"<Code>InvalidArgument</Code>"},
		"list-type=2&continuation-token=":             {"<Code>InvalidArgument</Code>"},
		"list-type=2&encoding-type=latin1":            {"<Code>InvalidArgument</Code>"},
	} {
		_, body := rawRequest(t, "GET", server.URL+"/b?"+query, nil, nil)
		for _, want := range wants {
			if !strings.Contains(body, want) {
				t.Errorf("?%s lacks %s: %s", query, want, body)
			}
		}
	}
}
