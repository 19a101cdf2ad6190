package report

import (
	"fmt"
	"time"
)

// Drain is why and how an instance was drained. Deadline is zero where there was
// none.
type Drain struct {
	Reason   string    `json:"reason"`
	Noticed  time.Time `json:"noticed"`
	Deadline time.Time `json:"deadline,omitzero"`
	Flush    []Flush   `json:"flush,omitzero"`
}

// Flush is what became of one log shipper. Left is what it had not delivered and
// Lost what it gave up, in its own Unit (bytes or records). Unknown is set where that
// cannot be told; Note says why, or what else there is to say.
type Flush struct {
	Name    string `json:"name"`
	Kind    string `json:"kind"`
	MS      int64  `json:"ms"`
	Left    int64  `json:"left"`
	Lost    int64  `json:"lost"`
	Unit    string `json:"unit,omitzero"`
	Unknown bool   `json:"unknown,omitzero"`
	Note    string `json:"note,omitzero"`
}

// Done reports whether everything was delivered.
func (f Flush) Done() bool { return !f.Unknown && f.Left == 0 && f.Lost == 0 }

// Text is what became of it, for people.
func (f Flush) Text() string {
	text := "delivered"
	switch {
	case f.Lost > 0:
		text = fmt.Sprintf("lost %d %s", f.Lost, f.Unit)
	case f.Left > 0:
		text = fmt.Sprintf("%d %s left", f.Left, f.Unit)
	case f.Unknown:
		text = "unknown"
	}
	if f.Note != "" {
		text += ": " + f.Note
	}
	return text
}
