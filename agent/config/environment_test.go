package config

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestParseEnvironment(t *testing.T) {
	text := strings.Join([]string{
		"# a comment", "; another", "", "  HTTPS_PROXY=http://proxy.internal:3128  ", "export NO_PROXY='10.0.0.0/8,.internal'", "export\tA=1",
		`B="two words \"quoted\" \n $HOME"`, `C=a\ b\$`, "EMPTY=", "D=a=b#c", `E='it'"s"`, "AWS_USE_FIPS_ENDPOINT=true\r",
	}, "\n")
	want := []Variable{
		{"HTTPS_PROXY", "http://proxy.internal:3128"}, {"NO_PROXY", "10.0.0.0/8,.internal"}, {"A", "1"},
		{"B", `two words "quoted" \n $HOME`}, {"C", "a b$"}, {"EMPTY", ""}, {"D", "a=b#c"}, {"E", "its"}, {"AWS_USE_FIPS_ENDPOINT", "true"},
	}
	got, err := ParseEnvironment(File{"environment", []byte(text)})
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

func TestParseEnvironmentRefuses(t *testing.T) {
	for _, line := range []string{
		"no assignment", "=hunter2", "1A=hunter2", "A B=hunter2", `A="hunter2`, "A='hunter2", `A=hunter2\`, "A=hunter2\x00", "exportA hunter2", ". /etc/hunter2", "$(hunter2)", "A-B=hunter2",
	} {
		_, err := ParseEnvironment(File{"environment", []byte("# first\n" + line)})
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Line != 2 || e.Hint == "" || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", line, err)
		}
	}
}

// What is read the same way by a shell is: then either may read the file.
func TestParseEnvironmentAsAShell(t *testing.T) {
	text := "A=1\nexport B=two\\ words\nC=\"a \\\"b\\\" \\\\ \\$x\"\nD='lit $eral'\nE=x'y'\"z\"\nF=\n"
	name := filepath.Join(t.TempDir(), "environment")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	vars, err := ParseEnvironment(File{name, []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range vars {
		out, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", `. "$1"; eval "printf %s \"\$$2\""`, "sh", name, v.Name).Output()
		if err != nil || string(out) != v.Value {
			t.Errorf("%s is %q for a shell (%v), and %q here", v.Name, out, err, v.Value)
		}
	}
}
