package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

// isTerminal reports whether w is a terminal that understands escape sequences.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}

// columns is how wide the terminal is that w goes to, 0 for what is none.
func columns(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// isJournal reports whether w is the stream that systemd has connected a service to,
// device:inode. What a service starts inherits the variable, but may write elsewhere:
// a job of a CI runner does.
func isJournal(w io.Writer, stream string) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stream == fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)
}

// width is how many columns a picture may have.
func (u *ui) width() int {
	if w := columns(u.out); w > 0 {
		return w
	}
	return 80
}

// minWrap is the narrowest column that text is broken into.
const minWrap = 16

// wrap breaks a text that begins at column indent between words, so that no
// line reaches width. A width too small for that, such as 0, leaves it whole:
// the terminal breaks it, and in a pipe it stays one line.
func wrap(text string, indent, width int) string {
	room := width - indent
	if room < minWrap {
		return text
	}
	var b strings.Builder
	used := 0
	for i, word := range strings.Split(text, " ") {
		length := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case used+1+length >= room:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			used = 0
		default:
			b.WriteString(" ")
			used++
		}
		b.WriteString(word)
		used += length
	}
	return b.String()
}

// cut shortens a line that may not be broken.
func cut(text string, width int) string {
	if r := []rune(text); width > 0 && len(r) >= width {
		return string(r[:width-1])
	}
	return text
}

// again shows something every two seconds, and whenever the terminal has
// another size, until the context or show ends it.
func (u *ui) again(ctx context.Context, show func() error) error {
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH)
	defer signal.Stop(resized)
	for first := true; ; first = false {
		if isTerminal(u.out) {
			u.printf("\x1b[H\x1b[2J")
		} else if !first {
			u.printf("\n")
		}
		if err := show(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-resized:
		case <-time.After(2 * time.Second):
		}
	}
}
