package artifacts

import (
	"strings"
	"testing"
)

func TestCheckProbe(t *testing.T) {
	for address, fine := range map[string]bool{
		"http://127.0.0.1:8080/healthz": true, "https://localhost": true, "http://[::1]:1/": true, "http://:8080/": true,
		"": false, "127.0.0.1:8080": false, "http:///x": false, "ftp://h/": false, "http://h:0/": false, "http://h:65536/": false,
		"http://h:/": false, "http://h:http/": false, "http://a b/": false, "http://h/\n": false,
	} {
		if err := CheckProbeURL(address); (err == nil) != fine {
			t.Errorf("CheckProbeURL(%q) = %v", address, err)
		}
	}
	for address, fine := range map[string]bool{
		"127.0.0.1:8080": true, ":9000": true, "[::1]:9000": true, "h": false, "h:": false, "h:0": false, "h:99999": false, "h:http": false, "::1:80": false,
	} {
		if err := CheckProbeTCP(address); (err == nil) != fine {
			t.Errorf("CheckProbeTCP(%q) = %v", address, err)
		}
	}
}

func TestStatuses(t *testing.T) {
	for _, tt := range []struct {
		text     string
		has, not []int
	}{
		{"200-299", []int{200, 204, 299}, []int{199, 300, 404}},
		{"204", []int{204}, []int{200, 203, 205}},
		{"200-299,301,404", []int{200, 301, 404}, []int{300, 302, 403}},
		{"503,200", []int{503, 200}, []int{201}},
	} {
		var s Statuses
		if err := s.UnmarshalText([]byte(tt.text)); err != nil || s.String() != tt.text {
			t.Fatalf("%q: %v, %v", tt.text, s, err)
		}
		for _, n := range tt.has {
			if !s.Has(n) {
				t.Errorf("%q has no %d", tt.text, n)
			}
		}
		for _, n := range tt.not {
			if s.Has(n) {
				t.Errorf("%q has %d", tt.text, n)
			}
		}
	}
	if s := Statuses(""); !s.Has(299) || s.Has(300) || s.String() != "200-299" {
		t.Errorf("the default is %v", s)
	}
	for _, text := range []string{
		"", "2xx", "200-", "-299", "299-200", "199", "100-599", "600", "200-299-", "200 - 299", "200, 301", "200,,301", ",200", "200,", "0200", "+20", "2000",
		strings.Repeat("200,", 40) + "200",
	} {
		var s Statuses
		if err := s.UnmarshalText([]byte(text)); err == nil || s != "" {
			t.Errorf("%q was read as %v", text, s)
		}
	}
}
