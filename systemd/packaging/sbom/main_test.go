package main

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"
)

// The test's own binary is a Go binary as good as any.
func TestSBOM(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var first, second bytes.Buffer
	for _, w := range []*bytes.Buffer{&first, &second} {
		if err := write(w, self, "1.2.3+b", "1700000000"); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("the same binary has two documents")
	}
	var b bom
	if err := json.Unmarshal(first.Bytes(), &b); err != nil {
		t.Fatal(err)
	}
	if b.Format != "CycloneDX" || b.SpecVersion != "1.5" || b.Version != 1 || b.Metadata.Timestamp != "2023-11-14T22:13:20Z" {
		t.Errorf("%s %s, version %d, %s", b.Format, b.SpecVersion, b.Version, b.Metadata.Timestamp)
	}
	// the schema's own patterns
	if !regexp.MustCompile(`^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(b.SerialNumber) {
		t.Errorf("serial number %s", b.SerialNumber)
	}
	c := b.Metadata.Component
	if c.Type != "application" || !strings.HasSuffix(c.PURL, "@1.2.3%2Bb") || len(c.Hashes) != 1 || len(c.Hashes[0].Content) != 64 {
		t.Errorf("component %+v", c)
	}
}

func TestEveryModuleIsListedOnce(t *testing.T) {
	info := &debug.BuildInfo{
		GoVersion: "go1.26.8", Main: debug.Module{Path: "koboshi", Version: "(devel)"},
		Deps: []*debug.Module{
			{Path: "example.com/a", Version: "v1.0.0", Sum: "h1:a"},
			{Path: "example.com/b", Version: "v1.0.0", Replace: &debug.Module{Path: "example.com/fork", Version: "v2.0.0+incompatible", Sum: "h1:b"}},
		},
	}
	b := describe(info, [32]byte{}, "0.1.0")
	want := "pkg:golang/std@1.26.8 pkg:golang/example.com/a@v1.0.0 pkg:golang/example.com/fork@v2.0.0%2Bincompatible"
	if got := strings.Join(b.Dependencies[0].DependsOn, " "); got != want || len(b.Components) != 3 {
		t.Errorf("%s, want %s", got, want)
	}
	if b.Dependencies[0].Ref != b.Metadata.Component.Ref {
		t.Error("the dependencies are of something else")
	}
}

func TestNoGoBinary(t *testing.T) {
	if err := write(&bytes.Buffer{}, "main.go", "1", ""); err == nil {
		t.Error("a text file has a bill of materials")
	}
}
