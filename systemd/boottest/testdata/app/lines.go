package main

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"time"
)

const linesPerSecond = 2000

// write appends numbered lines to a log file until the process ends, also while it is
// asked to stop. It opens the file each time: it may be rotated without a word.
func write(file string) {
	began, n := time.Now(), 0
	for range time.Tick(10 * time.Millisecond) {
		var lines bytes.Buffer
		for due := int(time.Since(began).Seconds() * linesPerSecond); n < due; {
			n++
			_, _ = fmt.Fprintf(&lines, "line %d of %d, with some more text in it\n", n, os.Getpid())
		}
		if err := add(file, lines.Bytes()); err != nil {
			log.Fatal(err)
		}
	}
}

func add(file string, lines []byte) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(lines)
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}
