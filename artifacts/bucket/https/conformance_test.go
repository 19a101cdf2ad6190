package https_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/buckettest"
	"koboshi/artifacts/bucket/https"
)

func TestConforms(t *testing.T) {
	buckettest.ReadConformance(t, func(t *testing.T) (bucket.Bucket, bucket.Reader) {
		b := buckettest.NewMemory()
		server := httptest.NewServer(http.StripPrefix("/apps/web/", published(b)))
		t.Cleanup(server.Close)
		site, err := https.New(server.URL+"/apps/web", "seed", nil)
		if err != nil {
			t.Fatal(err)
		}
		return b, site
	})
}

// published is a bucket behind a web server, as net/http is one.
func published(b bucket.Reader) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, object, err := b.Get(r.Context(), r.URL.Path, bucket.Range{})
		if errors.Is(err, bucket.ErrNotFound) {
			http.NotFound(w, r)
			return
		}
		data, err := io.ReadAll(body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("ETag", object.ETag)
		http.ServeContent(w, r, "", object.Modified, bytes.NewReader(data))
	}
}
