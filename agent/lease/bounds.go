package lease

// Bounds are what an app may use: the moments above NotBefore, up to ValidUntil.
type Bounds struct{ NotBefore, ValidUntil Millis }

// Bounds are those of a tenure for a generator that counts in units of so many
// milliseconds, and an app that may overrun them by slack: whole units only, so that no
// two holders share one.
//
// Where the table has a smaller slack, as of an app that looked before the configuration
// was changed, they end earlier until a renewal has stored the larger one.
func (t Tenure) Bounds(unit, slack Millis) Bounds {
	end := t.Until - max(0, slack-t.Slack)
	return Bounds{NotBefore: lastOf(t.Floor, unit), ValidUntil: lastOf(end+1, unit) - unit}
}

// lastOf is the last millisecond of the unit in which t lies.
func lastOf(t, unit Millis) Millis {
	if t < 0 {
		return -1
	}
	return t/unit*unit + unit - 1
}
