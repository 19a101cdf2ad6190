package main

import (
	"bytes"
	"context"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"koboshi/artifacts"
)

// No bad input is reported as an internal error: the message has what is wrong.
func TestInputsThatAreNoBugs(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	source := "file://" + dir
	koboshi := func(args ...string) (int, string) {
		var out bytes.Buffer
		return run(context.Background(), args, strings.NewReader(""), &out, &out), out.String()
	}
	on := func(command string, more ...string) []string {
		return append([]string{command, "--source", source, "--app", "web"}, more...)
	}
	must(t, os.MkdirAll("tree", 0o755))
	must(t, os.WriteFile("tree/web", []byte("1"), 0o755))
	for _, args := range [][]string{
		{"keygen", "--out", "release"},
		on("publish", "--version", "1", "--key", "release.key", "tree"),
		on("promote", "--version", "1", "--channel", "stable", "--key", "release.key"),
	} {
		if code, said := koboshi(args...); code != 0 {
			t.Fatalf("%q: %d %s", args, code, said)
		}
	}
	key, err := readKey("release.key", readFile, artifacts.ParsePrivateKey)
	must(t, err)
	manifest, err := os.ReadFile("web/releases/1/manifest.json")
	must(t, err)
	now := time.Now().UTC().Truncate(time.Second)
	last, err := artifacts.Pointer{Schema: 1, App: "web", Channel: "last", Sequence: math.MaxInt64, Version: "1", ManifestSHA256: artifacts.Sum(manifest), Issued: now}.Sign(key)
	must(t, err)
	must(t, os.WriteFile("web/channels/last.json", last, 0o644))
	must(t, os.WriteFile("web/channels/torn.json", last[:len(last)/2], 0o644))

	promote := func(channel string, more ...string) []string {
		return on("promote", append([]string{"--version", "1", "--channel", channel, "--key", "release.key"}, more...)...)
	}
	for _, tt := range []struct {
		args []string
		code int
		says string
	}{
		{promote("last"), 14, "has sequence 9223372036854775807"},
		{promote("torn"), 14, "verification failed"},
		{promote("stable", "--expires", "1ns"), 2, "--expires"},
		{promote("stable", "--expires", "999ms"), 2, "--expires"},
		{promote("stable", "--expires", "2562047h47m"), 0, ""},
		{on("promote", "--version", "1", "--channel", "stable", "--key", "/dev/zero"), 2, "larger than"},
		{on("publish", "--version", "2", "--key", "release.key", "/dev/zero"), 2, "/dev/zero"},
		{[]string{"config", "check", "--config", "/dev/zero"}, 10, "/dev/zero"},
		{[]string{"config", "check", "--config", dir}, 10, "is a directory"},
	} {
		code, said := koboshi(tt.args...)
		if code != tt.code || !strings.Contains(said, tt.says) {
			t.Errorf("%s: exit %d, want %d: %s", strings.Join(tt.args, " "), code, tt.code, said)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "web/releases/2/manifest.json")); err == nil {
		t.Error("a device was published")
	}
}
