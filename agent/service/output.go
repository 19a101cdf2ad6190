package service

import (
	"bytes"
	"fmt"

	"koboshi/agent/report"
)

// Limits of what is printed of a hook's output, in bytes.
const (
	maxOutput = 64 << 10
	maxLine   = 1000
)

// lines prints what a program writes line by line, safe to show, up to
// maxOutput. The zero value with print set is ready to use.
type lines struct {
	print   func(line string)
	line    []byte // that has not ended yet
	printed int    // bytes
	last    string // line that is not empty
}

// Write never fails: a hook must not end because of its output.
func (l *lines) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		part, after, ended := bytes.Cut(rest, []byte("\n"))
		l.line = append(l.line, part[:min(len(part), maxLine-len(l.line))]...)
		if ended {
			l.flush()
		}
		rest = after
	}
	return len(p), nil
}

func (l *lines) flush() {
	text := report.Clean(string(l.line), maxLine)
	l.line = l.line[:0]
	if text == "" {
		return
	}
	l.last = text
	if l.printed > maxOutput {
		return
	}
	if l.printed += len(text); l.printed > maxOutput {
		text = fmt.Sprintf("output is cut off after %s", report.Bytes(maxOutput))
	}
	l.print(text)
}

// explain ends the output and adds its last line to the error of a program that
// failed.
func (l *lines) explain(err error) error {
	l.flush()
	if err == nil || l.last == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, l.last)
}
