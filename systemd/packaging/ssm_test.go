package packaging_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"koboshi/artifacts"
)

const document = "ssm/koboshi-sync.yaml"

// parameter is what the document says of one of its parameters, under a key
// whose value stands in double quotes.
func parameter(t *testing.T, name, key string) string {
	t.Helper()
	_, rest, _ := strings.Cut(read(t, document), "\n  "+name+":\n")
	found := regexp.MustCompile(`(?m)^    ` + key + `: "(.*)"$`).FindStringSubmatch(rest)
	if found == nil {
		t.Fatalf("%s has no %s for %s", document, key, name)
	}
	return found[1]
}

// script is what the document runs, with every parameter in its place: SSM
// replaces text, whatever the shell makes of it.
func script(t *testing.T, given map[string]string) string {
	t.Helper()
	_, block, ok := strings.Cut(read(t, document), "        - |\n")
	if !ok {
		t.Fatalf("%s has no script", document)
	}
	for _, name := range []string{"version", "dryRun", "spread", "config"} {
		value, ok := given[name]
		if !ok {
			value = parameter(t, name, "default")
		}
		block = strings.ReplaceAll(block, "{{ "+name+" }}", value)
	}
	return strings.ReplaceAll(block, "\n          ", "\n")
}

func TestSyncDocumentRuns(t *testing.T) {
	bin := t.TempDir()
	stub := "#!/bin/sh\nprintf '[%s]' \"$@\"\nexit 20\n"
	if err := os.WriteFile(filepath.Join(bin, "koboshi"), []byte(stub), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		given map[string]string
		want  string
	}{
		{nil, "[sync][--wait][--json][--config][/etc/koboshi/koboshi.toml]"},
		{map[string]string{"version": "1.4.1"}, "[sync][--wait][--json][--config][/etc/koboshi/koboshi.toml][--version][1.4.1]"},
		{map[string]string{"spread": "true"}, "[sync][--wait][--json][--config][/etc/koboshi/koboshi.toml][--spread]"},
		{map[string]string{"dryRun": "true", "config": "/etc/koboshi/api.toml"}, "[sync][--wait][--json][--config][/etc/koboshi/api.toml][--dry-run]"},
	} {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", script(t, test.given))
		cmd.Env = []string{"PATH=" + bin + ":/usr/bin:/bin"}
		out, _ := cmd.Output()
		if string(out) != test.want || cmd.ProcessState.ExitCode() != 20 {
			t.Errorf("%v runs koboshi %s and exits with %d, want %s and koboshi's own 20", test.given, out, cmd.ProcessState.ExitCode(), test.want)
		}
	}
}

// Anyone who may send the document chooses the configuration, but not the shell's
// commands: no file is read but by koboshi, which checks who owns it.
func TestSyncDocumentReadsNoFile(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"koboshi":     "#!/bin/sh\nexit 0\n",
		"environment": "touch " + filepath.Join(dir, "run") + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", script(t, map[string]string{"config": filepath.Join(dir, "koboshi.toml")}))
	cmd.Env, cmd.Dir = []string{"PATH=" + dir + ":/usr/bin:/bin"}, dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s, %v", out, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "run")); err == nil {
		t.Error("what is stored next to the configuration was run")
	}
}

// What SSM lets through for a version is what is one, and for a configuration
// what is stored in /etc/koboshi.
func TestSyncDocumentRefuses(t *testing.T) {
	version := regexp.MustCompile(parameter(t, "version", "allowedPattern"))
	for _, v := range []string{"1.4.2", "a", "A+b-c_d.e", "-1", ".1", "1 2", "1;id", "1'", "$(id)", "1\n2", strings.Repeat("1", 64), strings.Repeat("1", 65)} {
		if version.MatchString(v) != (artifacts.CheckVersion(v) == nil) {
			t.Errorf("version %q: allowed %v, and koboshi says %v", v, version.MatchString(v), artifacts.CheckVersion(v))
		}
	}
	config := regexp.MustCompile(parameter(t, "config", "allowedPattern"))
	for v, want := range map[string]bool{
		"/etc/koboshi/koboshi.toml": true, "/etc/koboshi/api.toml": true, "/etc/koboshi/blue-app_2.toml": true,
		"koboshi.toml": false, "/tmp/koboshi.toml": false, "/etc/koboshi.toml": false, "/etc/koboshi/../../tmp/x.toml": false, "/etc/koboshi/..toml": false,
		"/etc/koboshi/koboshi.d/a.toml": false, "/etc/koboshi/environment": false, "/etc/koboshi/a b.toml": false, "/etc/koboshi/'; id; '.toml": false,
		"/etc/koboshi/$(id).toml": false, "/etc/koboshi/`id`.toml": false, "/etc/koboshi/\nid.toml": false, "/tmp/\n/etc/koboshi/a.toml": false, "/etc/koboshi/a.toml\n": false,
	} {
		if config.MatchString(v) != want {
			t.Errorf("config %q: allowed %v", v, !want)
		}
	}
}
