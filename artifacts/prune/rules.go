package prune

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"koboshi/artifacts/retire"
)

// Action is what a prune does with a release.
type Action string

// The actions.
const (
	Stay   Action = "keep"   // nothing happens
	Mark   Action = "mark"   // it is marked for removal
	Unmark Action = "unmark" // its mark is taken off: a rule keeps it by now
	Wait   Action = "wait"   // it is marked, not yet for long enough
	Sweep  Action = "sweep"  // it is removed
)

// Release is a version in the bucket, and what a prune does with it.
type Release struct {
	Version string
	State   retire.State // "" = it has no mark
	Action  Action
	Why     string    // of Stay and Unmark: what keeps it
	From    time.Time // of Wait: when it may be swept, by the store's clock
	Changed bool      // another prune or an operator was faster, and nothing was done
	Created time.Time // as the manifest says; zero where there is none that can be read

	// What would be deleted: objects and bytes. Strangers are objects that are left.
	Objects, Strangers int
	Bytes              int64

	manifest bool // is there
	modified time.Time
	bases    []string // of its deltas
	damage   error    // of the manifest
	mark     bool     // is there
	torn     string   // of what was begun to be removed: what names it all the same
	found    retire.Found
}

// decide sets what happens to each release. named is what the channels point to, and
// in which words; now is the store's clock.
func (o Options) decide(all []*Release, named map[string]string, now time.Time) {
	var whole []*Release
	for _, r := range all {
		r.Action = Stay
		switch left := r.Objects > 0; {
		case r.State == retire.Sweeping, r.State == retire.Gone && left:
			r.Action, r.torn = Sweep, named[r.Version]
		case r.State == retire.Gone:
			r.Why = "it was removed"
		case !r.manifest:
			r.Why = "it has no manifest: a publish is under way, or broke off"
		case r.damage != nil:
			r.Why = "its manifest or mark cannot be read"
		default:
			whole = append(whole, r)
		}
	}
	slices.SortFunc(whole, func(x, y *Release) int { // the newest first
		return cmp.Or(y.Created.Compare(x.Created), y.modified.Compare(x.modified), strings.Compare(x.Version, y.Version))
	})
	bases := map[string]string{}
	for i, r := range whole {
		if r.Why = o.reason(r, i, named, now); r.Why != "" {
			for _, base := range r.bases {
				bases[base] = r.Version
			}
		}
	}
	for _, r := range whole {
		if of, is := bases[r.Version]; is && r.Why == "" {
			r.Why = "a delta of " + of + " starts from it"
		}
		r.Action, r.From = o.act(r, now)
	}
}

// reason is what keeps a release, "" where nothing does. place is how many are newer.
func (o Options) reason(r *Release, place int, named map[string]string, now time.Time) string {
	age := now.Sub(r.modified)
	if r.Created.After(r.modified) {
		age = now.Sub(r.Created)
	}
	switch {
	case named[r.Version] != "":
		return named[r.Version]
	case r.State == retire.Kept:
		return "koboshi releases keep"
	case o.Carried[r.Version] != "":
		return o.Carried[r.Version] + " carries it"
	case place < o.Keep:
		return "it is one of the newest " + strconv.Itoa(o.Keep)
	case o.MinAge > 0 && age < o.MinAge:
		return "it is younger than " + o.MinAge.String()
	}
	return ""
}

// act is what is done with a whole release, and from when on.
func (o Options) act(r *Release, now time.Time) (Action, time.Time) {
	switch marked := r.State == retire.Marked; {
	case r.Why != "" && marked:
		return Unmark, time.Time{}
	case r.Why != "":
		return Stay, time.Time{}
	case !marked:
		return Mark, time.Time{}
	case !retire.Due(r.found.Modified, now, o.Grace):
		return Wait, r.found.Modified.Add(o.Grace)
	}
	return Sweep, time.Time{}
}
