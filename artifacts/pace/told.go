package pace

import "time"

// again is how long the same is not said twice.
const again = time.Minute

// Told is what a wait said last. The zero value has said nothing.
type Told struct {
	text string
	at   time.Time
}

// Due reports whether a text is to be said now: it is another one, or was said a
// minute ago. What is long silent is taken for dead, and ended by some pipelines.
func (t *Told) Due(text string) bool {
	now := time.Now()
	if text == t.text && now.Sub(t.at) < again {
		return false
	}
	t.text, t.at = text, now
	return true
}
