package retire

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"koboshi/artifacts"
)

// State is how far a release is on its way out.
type State string

// The states. A release without a mark has the state "".
const (
	Unmarked State = "unmarked" // the mark was taken off
	Marked   State = "marked"   // it will be removed, unless a rule or an operator keeps it
	Sweeping State = "sweeping" // it is being removed
	Gone     State = "gone"     // it was removed
	Kept     State = "kept"     // an operator keeps it
)

// follow is which states may follow one.
var follow = map[State][]State{
	"":       {Marked, Kept},
	Unmarked: {Marked, Kept},
	Kept:     {Unmarked},
	Marked:   {Unmarked, Kept, Sweeping},
	Sweeping: {Gone},
	Gone:     nil,
}

// Refuses reports whether a release in this state may neither be promoted nor
// published.
func (s State) Refuses() bool { return s == Marked || s.Ends() }

// Ends reports whether a release in this state cannot be kept any more.
func (s State) Ends() bool { return s == Sweeping || s == Gone }

// Mark is the content of retired.json.
type Mark struct {
	Schema  int       `json:"schema"`
	App     string    `json:"app"`
	Version string    `json:"version"`
	State   State     `json:"state"`
	Fence   int64     `json:"fence"` // grows with every change
	By      string    `json:"by"`    // who has changed it, for people
	At      time.Time `json:"at"`    // when, by the clock of who has, for people; the store's decides
}

// Key is where the mark of a version is stored, relative to an app's prefix.
func Key(version string) string { return "releases/" + version + "/" + Name }

// Name is what a mark is called in its release.
const Name = "retired.json"

const (
	maxBytes = 4 << 10
	maxBy    = 200
)

// ErrState is a change that may not follow the mark as it is.
var ErrState = errors.New("the mark cannot be changed so")

// To is the mark that follows m; the zero Mark is none. Errors are [ErrState].
func (m Mark) To(s State, app, version, by string, at time.Time) (Mark, error) {
	if !slices.Contains(follow[m.State], s) {
		return Mark{}, fmt.Errorf("%w: %s is %s", ErrState, version, cmp.Or(m.State, "not marked"))
	}
	return Mark{Schema: artifacts.Schema, App: app, Version: version, State: s, Fence: m.Fence + 1, By: trim(by), At: at.UTC().Truncate(time.Second)}, nil
}

// trim makes a name a short line.
func trim(by string) string {
	by = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, by)
	return by[:min(len(by), maxBy)]
}

// ErrMark is an object in the place of a mark that is none: it is not known then
// whether the release may be used. It is artifacts.ErrUntrusted, too.
var ErrMark = fmt.Errorf("not a mark: %w", artifacts.ErrUntrusted)

// parse reads the mark of a version.
func parse(data []byte, app, version string) (m Mark, err error) {
	var header struct {
		Schema int `json:"schema"`
	}
	if err := json.Unmarshal(data, &header); err != nil {
		return Mark{}, fmt.Errorf("%w: %w", ErrMark, err)
	}
	if header.Schema > artifacts.Schema {
		return Mark{}, fmt.Errorf("%w: its schema is %d", artifacts.ErrTooOld, header.Schema)
	}
	err = json.Unmarshal(data, &m, json.RejectUnknownMembers(true), jsontext.AllowDuplicateNames(false), json.MatchCaseInsensitiveNames(false))
	_, known := follow[m.State]
	switch {
	case err != nil:
		return Mark{}, fmt.Errorf("%w: %w", ErrMark, err)
	case m.Schema != artifacts.Schema, m.App != app, m.Version != version, !known, m.State == "", m.Fence < 1, m.By != trim(m.By):
		return Mark{}, fmt.Errorf("%w of %s %s", ErrMark, app, version)
	}
	return m, nil
}
