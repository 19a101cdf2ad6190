package main

import (
	"encoding/pem"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestParseRoots(t *testing.T) {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	der := server.Certificate().Raw
	for _, tt := range []struct{ name, text, want string }{
		{"one", block("CERTIFICATE", der), ""},
		{"two, with their names", "# ours\n" + block("CERTIFICATE", der) + "\n# theirs\n" + block("CERTIFICATE", der), ""},
		{"none", "", "no certificate in PEM form"},
		{"DER", string(der), "no certificate in PEM form"},
		{"a private key", block("CERTIFICATE", der) + block("PRIVATE KEY", der), "found a PRIVATE KEY"},
		{"a broken one", block("CERTIFICATE", der) + block("CERTIFICATE", der[:100]), "x509: malformed"},
	} {
		roots, err := parseRoots([]byte(tt.text))
		if tt.want == "" && (err != nil || roots == nil) || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}
