package lease

// Bounds are what an app may use: the moments above NotBefore, up to ValidUntil.
type Bounds struct{ NotBefore, ValidUntil Millis }

// Bounds are those of a tenure for a generator that counts in units of so many
// milliseconds: whole units only, so that no two holders share one.
func (t Tenure) Bounds(unit Millis) Bounds {
	return Bounds{NotBefore: lastOf(t.Floor, unit), ValidUntil: lastOf(t.Until+1, unit) - unit}
}

// lastOf is the last millisecond of the unit in which t lies.
func lastOf(t, unit Millis) Millis {
	if t < 0 {
		return -1
	}
	return t/unit*unit + unit - 1
}
