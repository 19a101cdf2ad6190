package process

import (
	"io"
	"os"
	"strings"
	"unicode"
)

// MaxOutput is how much of the end of a command's output is kept, in bytes.
const MaxOutput = 4 << 10

// tail keeps the last MaxOutput bytes that were written to it.
type tail []byte

func (t *tail) Write(p []byte) (int, error) {
	*t = append(*t, p[max(0, len(p)-MaxOutput):]...)
	if extra := len(*t) - MaxOutput; extra > 0 {
		*t = append((*t)[:0], (*t)[extra:]...)
	}
	return len(p), nil
}

// endOf returns the end of a log. It only explains an error, so a log that
// cannot be read is empty.
func endOf(log *os.File) string {
	size, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return ""
	}
	text, err := io.ReadAll(io.NewSectionReader(log, max(0, size-MaxOutput), MaxOutput))
	if err != nil {
		return ""
	}
	return oneLine(text)
}

// oneLine makes a program's output safe to print on a terminal or in a log.
func oneLine(text []byte) string {
	clean := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(string(text), "?"))
	return strings.Join(strings.Fields(clean), " ")
}
