package main

import (
	"errors"
	"fmt"
	"io/fs"

	"koboshi/agent/report"
)

// quoted is how many characters are shown of an argument that names no file.
const quoted = 8

// unreadable is why the file that an argument names could not be read. Such an
// argument may be a secret in the wrong place, such as the key itself in place of
// the file that it is in: no more than its beginning is shown.
func unreadable(arg string, err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		err = path.Err
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
