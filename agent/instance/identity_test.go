package instance

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
)

func TestIdentityIsAskedForOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		m := s.memory()
		first, err := m.Identity(t.Context())
		s.pages[identityPath] = "gone"
		second, again := m.Identity(t.Context())
		if err != nil || again != nil || first != second || s.count("GET "+identityPath) != 1 {
			t.Errorf("first %+v, %v; second %+v, %v; asked %v", first, err, second, again, s.asked)
		}
	})
}

func TestIdentityThatFailedIsAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		s.pages[identityPath] = "{}"
		m := s.memory()
		if _, err := m.Identity(t.Context()); !errors.Is(err, ErrMalformed) {
			t.Errorf("empty document: %v, want ErrMalformed", err)
		}
		s.pages[identityPath] = document
		if id, err := m.Identity(t.Context()); err != nil || id.Region != "eu-central-1" {
			t.Errorf("Identity = %+v, %v", id, err)
		}
	})
}

func TestParseIdentity(t *testing.T) {
	with := func(name, value string) string {
		i := strings.Index(document, `"`+name+`"`)
		j := i + strings.IndexAny(document[i:], ",\n")
		return document[:i] + `"` + name + `" : ` + value + document[j:]
	}
	tests := []struct {
		name, document string
		ok             bool
	}{
		{"as AWS sends it", document, true},
		{"a newline after it", document + "\n", true},
		{"short id", with("instanceId", `"i-01234567"`), true},
		{"local zone", with("availabilityZone", `"eu-central-1-ham-1a"`), true},
		{"wavelength zone", with("availabilityZone", `"eu-central-1-wl1-ber-wlz-1"`), true},
		{"no IPv4", with("privateIp", `null`), true},
		{"a field of the future", with("version", `"1", "novelty": [1, {"a": 2}]`), true},
		{"empty", ``, false},
		{"null", `null`, false},
		{"array", `[]`, false},
		{"not JSON", `i-0123456789abcdef0`, false},
		{"cut off", document[:len(document)/2], false},
		{"trailing data", document + "{}", false},
		{"duplicate key", with("version", `"1", "instanceId": "i-00000000"`), false},
		{"other case only", strings.Replace(document, "instanceId", "InstanceID", 1), false},
		{"id missing", with("instanceId", `null`), false},
		{"id of another kind", with("instanceId", `"ami-0123456789abcdef0"`), false},
		{"id short", with("instanceId", `"i-0123456"`), false},
		{"id long", with("instanceId", `"i-0123456789abcdef01"`), false},
		{"id upper case", with("instanceId", `"i-0123456789ABCDEF0"`), false},
		{"id with newline", with("instanceId", `"i-0123456789abcdef0\n"`), false},
		{"id a path", with("instanceId", `"i-../../../../etc"`), false},
		{"id a number", with("instanceId", `7`), false},
		{"region a host", with("region", `"evil.example/"`), false},
		{"region empty", with("region", `""`), false},
		{"zone elsewhere", with("availabilityZone", `"us-east-1a"`), false},
		{"zone without region", with("availabilityZone", `"a"`), false},
		{"zone is the region", with("availabilityZone", `"eu-central-1"`), false},
		{"zone with a path", with("availabilityZone", `"eu-central-1/a"`), false},
		{"type with space", with("instanceType", `"m7g large"`), false},
		{"image", with("imageId", `"ami-../x"`), false},
		{"account", with("accountId", `"1234"`), false},
		{"address", with("privateIp", `"10.0.0.700"`), false},
		{"invalid UTF-8", with("version", "\"\xff\""), false},
	}
	for _, tt := range tests {
		id, err := parseIdentity([]byte(tt.document))
		if (err == nil) != tt.ok {
			t.Errorf("%s: %+v, %v, want ok %v", tt.name, id, err, tt.ok)
		}
		if err != nil && !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, want ErrMalformed", tt.name, err)
		}
	}
}

func TestRegionsThatThereAre(t *testing.T) {
	for _, region := range []string{
		"us-east-1", "eu-central-1", "ap-southeast-5", "mx-central-1", "us-gov-west-1", "cn-northwest-1",
		"us-iso-east-1", "us-isob-east-1", "eu-isoe-west-1", "us-isof-south-1", "eusc-de-east-1",
	} {
		if !regionPattern.MatchString(region) {
			t.Errorf("%s is refused", region)
		}
	}
}

func FuzzParseIdentity(f *testing.F) {
	for _, seed := range []string{document, "{}", "null", `{"instanceId":"i-01234567","instanceId":"i-01234568"}`, document[:99]} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		id, err := parseIdentity(document)
		if err != nil {
			if id != (Identity{}) || !errors.Is(err, ErrMalformed) || len(err.Error()) > 512 || strings.ContainsAny(err.Error(), "\n\r\x1b\x00") {
				t.Errorf("%+v, %v", id, err)
			}
			return
		}
		// A value that passed the check is safe in a file name, a URL and a log.
		for _, field := range []string{id.ID, id.Region, id.AZ, id.Type, id.Image, id.Account} {
			if len(field) > 64 || strings.ContainsFunc(field, func(r rune) bool {
				return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '.'
			}) {
				t.Errorf("let through: %q", field)
			}
		}
		if !strings.HasPrefix(id.ID, "i-") || !strings.HasPrefix(id.AZ, id.Region) || id.AZ == id.Region {
			t.Errorf("let through: %+v", id)
		}
	})
}
