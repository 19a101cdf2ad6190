package main

import (
	"fmt"
	"log"
	"os"
	"strings"
	"time"
)

// emit appends what a generator would use until the process ends, also while it is
// asked to stop: a line of the node id, its generation, its bounds as they were at the
// start, and the present, in milliseconds, which it uses once each. It looks at no bounds.
func emit(file string) {
	var node []string
	for _, name := range []string{"KOBOSHI_NODE_ID", "KOBOSHI_NODE_GEN", "KOBOSHI_NOT_BEFORE_MS", "KOBOSHI_VALID_UNTIL_MS"} {
		node = append(node, os.Getenv(name))
	}
	last := int64(0)
	for range time.Tick(10 * time.Millisecond) {
		now := time.Now().UnixMilli()
		if now <= last { // a tick that came late is followed by the next at once
			continue
		}
		last = now
		if err := add(file, fmt.Appendf(nil, "%s %d\n", strings.Join(node, " "), now)); err != nil {
			log.Fatal(err)
		}
	}
}
