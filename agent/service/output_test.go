package service

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode"
)

func TestOutput(t *testing.T) {
	long := strings.Repeat("x", 2*maxLine)
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
		{"a long line", []string{long, long, "\nshort\n"}, []string{long[:maxLine], "short"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			o := &lines{print: func(line string) { got = append(got, line) }}
			for _, w := range tt.writes {
				if n, err := o.Write([]byte(w)); n != len(w) || err != nil {
					t.Errorf("Write = %d, %v", n, err)
				}
			}
			if err := o.explain(nil); err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("printed %q (%v), want %q", got, err, tt.want)
			}
		})
	}
}

// A flood is printed up to the cap, once that it was cut, and its last line as the
// reason all the same.
func TestOutputIsCapped(t *testing.T) {
	var printed int
	var last string
	o := &lines{print: func(line string) { printed += len(line); last = line }}
	for i := range 100_000 {
		_, _ = fmt.Fprintf(o, "line %d\n", i)
	}
	_, _ = o.Write([]byte("no space left\n\n"))
	err := o.explain(errors.New("exit status 1"))
	if err.Error() != "exit status 1: no space left" {
		t.Errorf("error %q", err)
	}
	if printed < maxOutput-100 || printed > maxOutput+100 || !strings.HasSuffix(last, "cut off after 65.5 kB") {
		t.Errorf("%d bytes were printed, the last line %q", printed, last)
	}
	if len(o.line) != 0 || cap(o.line) > 2*maxLine {
		t.Errorf("%d bytes are kept", cap(o.line))
	}
}

func FuzzOutput(f *testing.F) {
	f.Add("one\ntwo", 2)
	f.Add("\x1b]0;title\x07\x1b[31m\n\u202e\r\n", 1)
	f.Fuzz(func(t *testing.T, text string, size int) {
		o := &lines{print: func(line string) {
			if line == "" || len(line) > maxLine || strings.ContainsFunc(line, unicode.IsControl) {
				t.Errorf("printed %q", line)
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
