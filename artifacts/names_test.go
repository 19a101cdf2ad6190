package artifacts_test

import (
	"strings"
	"testing"

	"koboshi/artifacts"
)

func TestNames(t *testing.T) {
	for name, valid := range map[string]bool{
		"web": true, "w": true, "0": true, "web-2": true, strings.Repeat("a", 63): true,
		"": false, "-web": false, "Web": false, "web_2": false, "web.2": false, "wéb": false, "we b": false, "web\n": false, "web/x": false,
		"a\x00": false, "a\xff": false, strings.Repeat("a", 64): false, "web-B": false,
	} {
		if err := artifacts.CheckName(name); (err == nil) != valid {
			t.Errorf("CheckName(%q) = %v, want valid %v", name, err, valid)
		}
	}
}

func TestVersions(t *testing.T) {
	for version, valid := range map[string]bool{
		"1": true, "1.4.2": true, "v2": true, "2026-11-21_rc.1+build": true, "Z": true, strings.Repeat("9", 64): true,
		"": false, ".1": false, "-1": false, "+1": false, "_1": false, "1/2": false, "1 2": false, "1\n": false, "..": false, "1\u00a0": false,
		strings.Repeat("9", 65): false, "1\\2": false, "1~2": false, "1:2": false,
	} {
		if err := artifacts.CheckVersion(version); (err == nil) != valid {
			t.Errorf("CheckVersion(%q) = %v, want valid %v", version, err, valid)
		}
	}
}
