package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode"

	"koboshi/agent"
)

func TestHookOutput(t *testing.T) {
	long := strings.Repeat("x", 2*maxHookLine)
	for _, tt := range []struct {
		name   string
		writes []string
		want   []string
	}{
		{"lines in pieces", []string{"o", "ne\ntw", "o\n"}, []string{"one", "two"}},
		{"no end of the line", []string{"one\ntwo"}, []string{"one", "two"}},
		{"nothing to say", []string{"\n \t\n\x1b[0m\n"}, nil},
		{"escapes and a priority", []string{"<3>\x1b[2Jkoboshi: error: \x07forged\r\n"}, []string{"<3>koboshi: error: forged"}},
		{"no UTF-8", []string{"a\xff\xfeb\n"}, []string{"a\ufffd\ufffdb"}},
		{"a long line", []string{long, long, "\nshort\n"}, []string{long[:maxHookLine], "short"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			o := &hookOutput{tell: func(line string) { got = append(got, line) }}
			for _, w := range tt.writes {
				if n, err := o.Write([]byte(w)); n != len(w) || err != nil {
					t.Errorf("Write = %d, %v", n, err)
				}
			}
			if err := o.explain(nil); err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("told %q (%v), want %q", got, err, tt.want)
			}
		})
	}
}

// A flood is told up to the cap, once that it was cut, and its last line as the
// reason all the same.
func TestHookOutputIsCapped(t *testing.T) {
	var told int
	var last string
	o := &hookOutput{tell: func(line string) { told += len(line); last = line }}
	for i := range 100_000 {
		_, _ = fmt.Fprintf(o, "line %d\n", i)
	}
	_, _ = o.Write([]byte("no space left\n\n"))
	err := o.explain(errors.New("exit status 1"))
	if err.Error() != "exit status 1: no space left" {
		t.Errorf("error %q", err)
	}
	if told < maxHookOutput-100 || told > maxHookOutput+100 || !strings.HasSuffix(last, "the rest is not told") {
		t.Errorf("%d bytes were told, the last line %q", told, last)
	}
	if len(o.line) != 0 || cap(o.line) > 2*maxHookLine {
		t.Errorf("%d bytes are kept", cap(o.line))
	}
}

func FuzzHookOutput(f *testing.F) {
	f.Add("one\ntwo", 2)
	f.Add("\x1b]0;title\x07\x1b[31m\n\u202e\r\n", 1)
	f.Fuzz(func(t *testing.T, text string, size int) {
		o := &hookOutput{tell: func(line string) {
			if line == "" || len(line) > maxHookLine || strings.ContainsFunc(line, unicode.IsControl) {
				t.Errorf("told %q", line)
			}
		}}
		for piece := range slices.Chunk([]byte(text), max(1, size%100)) {
			_, _ = o.Write(piece)
		}
		if err := o.explain(nil); err != nil {
			t.Error(err)
		}
	})
}

// The log has fields that stay.
func TestHookLineAsJSON(t *testing.T) {
	var out strings.Builder
	u := newUI(&out, &out)
	if err := u.setLogFormat("json"); err != nil {
		t.Fatal(err)
	}
	u.hookLine(agent.Hook{Name: "pre_start", Version: "2.0.0"})("done")
	if !strings.HasSuffix(out.String(), `"msg":"hook output","hook":"pre_start","version":"2.0.0","line":"done"}`+"\n") {
		t.Errorf("told %s", out.String())
	}
}
