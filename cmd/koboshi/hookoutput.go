package main

import (
	"bytes"
	"fmt"

	"go.uber.org/zap"

	"koboshi/agent"
	"koboshi/agent/status"
)

// Bounds of what is told of a hook's output, in bytes.
const (
	maxHookOutput = 64 << 10
	maxHookLine   = 1000
)

// hookOutput takes what a hook writes, and tells it line by line, fit to print,
// until it is too much. Its zero value with tell set is ready to use.
type hookOutput struct {
	tell func(line string)
	line []byte // that has not ended yet
	told int    // bytes
	last string // line that says anything
}

// Write never fails: a hook must not end because of what it says.
func (o *hookOutput) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		part, after, ended := bytes.Cut(rest, []byte("\n"))
		o.line = append(o.line, part[:min(len(part), maxHookLine-len(o.line))]...)
		if ended {
			o.flush()
		}
		rest = after
	}
	return len(p), nil
}

func (o *hookOutput) flush() {
	text := status.Clean(string(o.line), maxHookLine)
	o.line = o.line[:0]
	if text == "" {
		return
	}
	o.last = text
	if o.told > maxHookOutput {
		return
	}
	if o.told += len(text); o.told > maxHookOutput {
		text = fmt.Sprintf("that was %s of output: the rest is not told", status.Bytes(maxHookOutput))
	}
	o.tell(text)
}

// explain ends the output, whose last line is what a hook that failed has to
// say.
func (o *hookOutput) explain(err error) error {
	o.flush()
	if err == nil || o.last == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, o.last)
}

// hookLine tells a line of a hook's output.
func (u *ui) hookLine(h agent.Hook) func(line string) {
	return func(line string) {
		if u.log != nil {
			u.log.Info("hook output", zap.String("hook", h.Name), zap.String("version", h.Version), zap.String("line", line))
			return
		}
		u.say("%s: %s", h.Name, line)
	}
}
