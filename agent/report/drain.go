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

// Flush is what became of one log shipper. Outcome is done, left, lost or unknown. Left
// is what it had not delivered, in its own Unit (bytes, records or chunks), and Lost the
// records that it gave up; Note says why, or what else there is to say.
type Flush struct {
	Name    string `json:"name"`
	Kind    string `json:"kind"`
	MS      int64  `json:"ms"`
	Outcome string `json:"outcome"`
	Left    int64  `json:"left"`
	Lost    int64  `json:"lost"`
	Unit    string `json:"unit,omitzero"`
	Note    string `json:"note,omitzero"`
}

// Text is what became of it, for people.
func (f Flush) Text() string {
	text := f.Outcome
	if f.Left > 0 {
		text += fmt.Sprintf(", %d %s left", f.Left, f.Unit)
	}
	if f.Lost > 0 {
		text += fmt.Sprintf(", %d records lost", f.Lost)
	}
	if f.Note != "" {
		text += ": " + f.Note
	}
	return text
}
