package main

import (
	"fmt"
	"strings"

	"koboshi/agent/failure"
)

const exitsTitle = "\n\nExit codes:\n"

// exits is the part of a command's help that lists its exit codes.
func exits(codes ...failure.Code) string {
	var b strings.Builder
	b.WriteString(exitsTitle)
	for _, code := range codes {
		fmt.Fprintf(&b, "  %-4d %s\n", code, code)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// usage marks an error as the caller's: wrong flags or arguments.
func usage(err error) error { return failure.Mark(err, failure.ErrUsage) }
