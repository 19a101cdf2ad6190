package flush

import (
	"fmt"
	"strings"
	"unicode"
)

// Outcome is how a flush ended.
type Outcome string

// The outcomes.
const (
	Done    Outcome = "done"    // everything was accepted by the other side
	Left    Outcome = "left"    // something was not, when the time was over
	Lost    Outcome = "lost"    // nothing is left, and the shipper has counted errors since Before
	Unknown Outcome = "unknown" // it cannot be found out
)

// What Answer.Left is counted in.
const (
	Bytes   = "bytes"
	Records = "records"
	Chunks  = "chunks" // of Fluent Bit
)

// Answer is what is known about a shipper. Left and Lost may be known whatever
// the Outcome is.
type Answer struct {
	Outcome Outcome
	Left    int64  // undelivered, in Unit; 0 with Left: some, but not how many
	Unit    string // Bytes or Records; "" where the kind counts nothing
	Lost    int64  // records, or errors where the shipper counts only those
	Note    string // the reason, or what an operator should know; one line; "" = nothing
	Slow    string // a setting of the shipper that makes the proof slow, and a better one; "" = none
}

// String reads "done", "left 400 bytes", "lost 3 records: …".
func (a Answer) String() string {
	var b strings.Builder
	b.WriteString(string(a.Outcome))
	if a.Outcome == Left && a.Left > 0 {
		fmt.Fprintf(&b, " %d %s", a.Left, a.Unit)
	}
	if a.Outcome == Lost {
		fmt.Fprintf(&b, " %d records", a.Lost)
	}
	if a.Note != "" {
		b.WriteString(": " + a.Note)
	}
	return b.String()
}

// done is the answer of a shipper that has proven everything.
func (s sight) done(baseline *sight) Answer {
	a := Answer{Outcome: Done, Unit: s.unit, Note: join(s.note, s.slow), Lost: s.lost(baseline), Slow: s.slow}
	if a.Lost > 0 {
		a.Outcome = Lost
	}
	a.Note = oneLine(a.Note)
	return a
}

// undone is the answer of a shipper that has not; why is what the look lacked.
func (s sight) undone(baseline *sight, why string) Answer {
	a := Answer{Outcome: Unknown, Left: s.left, Unit: s.unit, Lost: s.lost(baseline), Note: join(why, s.note, s.slow), Slow: s.slow}
	switch {
	case s.doubt != "":
		a.Note = join(s.doubt, s.note, s.slow)
	case s.left > 0 || s.more:
		a.Outcome, a.Note = Left, join(s.pending, s.note, s.slow)
	case s.pending != "" || s.unconfirmed != "":
		a.Note = join(s.pending, s.unconfirmed, s.note, s.slow)
	}
	a.Note = oneLine(a.Note)
	return a
}

// lost is what is gone since the baseline: in records where the shipper counts
// those, else in errors.
func (s sight) lost(baseline *sight) int64 {
	if baseline == nil {
		return 0
	}
	if records := s.failed[0] - baseline.failed[0]; records > 0 {
		return records
	}
	return max(0, s.failed[1]-baseline.failed[1])
}

func join(parts ...string) string {
	var said []string
	for _, p := range parts {
		if p != "" {
			said = append(said, p)
		}
	}
	return strings.Join(said, "; ")
}

// maxNote bounds a note, in bytes.
const maxNote = 400

// oneLine is text that may come from a shipper, without control characters.
func oneLine(text string) string {
	if len(text) > maxNote {
		text = text[:maxNote] + "…"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, ""))
}
