package main

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// secret is part of every secret in the script of this name.
const secret = "hunter2"

// discreet COMMAND ARG… runs a command that must fail, or with ! one that must
// not, twice: for people, and with its log as JSON. No secret may be in its output,
// nor in the files that it leaves in the app's directories.
func discreet(ts *testscript.TestScript, neg bool, args []string) {
	for _, format := range []string{"console", "json"} {
		err := ts.Exec(args[0], append([]string{"--log-format", format}, args[1:]...)...)
		if failed := err != nil; failed == neg {
			ts.Fatalf("%s: %v", strings.Join(args, " "), err)
		}
		for _, stream := range []string{"stdout", "stderr"} {
			if text := ts.ReadFile(stream); strings.Contains(text, secret) {
				ts.Fatalf("%s has the secret:\n%s", stream, text)
			}
		}
	}
	for _, place := range []string{"opt", "state", "run"} {
		_ = filepath.WalkDir(ts.MkAbs(place), func(path string, d os.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() && strings.Contains(ts.ReadFile(path), secret) {
				ts.Fatalf("%s has the secret:\n%s", path, ts.ReadFile(path))
			}
			return nil // a file that is missing has none
		})
	}
}
