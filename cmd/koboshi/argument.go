package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"koboshi/agent/report"
)

// quoted is how many characters are shown of an argument that is no readable file.
const quoted = 8

// unreadable is why the file of an argument could not be read. Such an argument
// may be a secret by mistake, such as a key in place of the name of its file: only
// its beginning is shown, unless it is named like a configuration.
func unreadable(arg string, err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		err = path.Err
	}
	if filepath.Ext(arg) == ".toml" {
		return fmt.Errorf("%s: %w", report.Clean(arg, report.MaxText), err)
	}
	return fmt.Errorf("%s: %w", beginning(arg), err)
}

func beginning(arg string) string {
	runes := []rune(arg)
	if len(runes) <= quoted {
		return report.Clean(arg, report.MaxText)
	}
	return report.Clean(string(runes[:quoted]), report.MaxText) + "…"
}
