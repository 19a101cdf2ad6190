package account

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestSigner(t *testing.T) {
	const id = "i-0a5c0de0000000001"
	tests := map[string]string{
		"AWS4-HMAC-SHA256 Credential=ASIAA5C0DE0000000001/20261121/us-east-1/s3/aws4_request":  id,
		"AWS4-HMAC-SHA256 Credential=" + AccessKey(id) + "/20261121/us-east-1/s3/aws4_request": id,
		"AWS4-HMAC-SHA256 Credential=mock/20261121/us-east-1/s3/aws4_request":                  "",
		"": "",
	}
	for header, want := range tests {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", header)
		if got := Signer(r); got != want {
			t.Errorf("%q was signed by %q, want %q", header, got, want)
		}
	}
}
