package artifacts

// Sequence is a place in a channel's history: the number, and the hash of the
// payload that has it. What was verified last is kept durably, per channel.
type Sequence struct {
	Number  int64
	Payload Digest
}

// Admit is the rule that a channel never goes back: next must have a higher
// number than last, or be the same document again. floor is the baked minimum.
// A refusal is [ErrUntrusted].
func (last Sequence) Admit(next Sequence, floor int64) error {
	switch {
	case next.Number < floor:
		return untrusted("sequence %d is below the floor %d of this machine", next.Number, floor)
	case next.Number < last.Number:
		return untrusted("sequence %d, but %d was seen before: the channel has gone back", next.Number, last.Number)
	case next.Number == last.Number && next.Payload != last.Payload:
		return untrusted("sequence %d was seen before with other content", next.Number)
	}
	return nil
}
