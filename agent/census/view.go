package census

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"koboshi/agent/report"
	"koboshi/artifacts"
)

// Status is how an instance stands, for people.
type Status string

// The statuses, in the order of a view: what needs someone comes last.
const (
	Left    Status = "gone"    // it was drained
	Ended   Status = "ended"   // its last record is not that of a drain, and the group does not have it
	Well    Status = "ok"      // healthy, with the release that it should have
	Behind  Status = "behind"  // healthy, with another one
	Unknown Status = "unknown" // of the group, and without a record that can be used
	Bad     Status = "failed"  // what it should have failed on it
)

// Statuses are all of them, in that order.
func Statuses() []Status { return []Status{Left, Ended, Well, Behind, Unknown, Bad} }

// Member is an instance of a group, as Auto Scaling has it.
type Member struct{ Group, State string }

// Input is what a view is made of. Members is nil where no group was asked; Channels are
// the pointers that could be read.
type Input struct {
	App      string
	Entries  []Entry
	Channels map[string]artifacts.Pointer
	Members  map[string]Member
	Now      time.Time // the store's
}

// Row is one instance. What is not known is zero. Release is the version that runs, and
// About the one that the record is about, where that is another. Wants is what the channel
// has for the instance.
type Row struct {
	Instance string         `json:"instance"`
	Status   Status         `json:"status"`
	Group    string         `json:"group,omitzero"`
	State    string         `json:"lifecycle_state,omitzero"` // in the group that was asked
	AZ       string         `json:"az,omitzero"`
	Channel  string         `json:"channel,omitzero"`
	Release  string         `json:"release,omitzero"`
	About    string         `json:"about,omitzero"`
	Manifest string         `json:"manifest,omitzero"` // the first 12 digits, of what the record is about
	Wants    string         `json:"wants,omitzero"`
	Rollout  bool           `json:"in_rollout,omitzero"` // it is in the channel's rollout
	Verdict  report.Verdict `json:"verdict,omitzero"`
	Code     int            `json:"code,omitzero"`
	Why      string         `json:"why,omitzero"`
	Since    time.Time      `json:"since,omitzero"`    // never after Reported
	Reported time.Time      `json:"reported,omitzero"` // by the store's clock
	NodeID   *int           `json:"node_id,omitzero"`
	Boot     *Boot          `json:"boot,omitzero"`
	Agent    string         `json:"agent,omitzero"`
}

// View is a fleet.
type View struct {
	App      string              `json:"app"`
	At       time.Time           `json:"at"`
	Channels []artifacts.Pointer `json:"channels"`
	Counts   map[Status]int      `json:"counts"`
	Rows     []Row               `json:"instances"`
}

// Look makes the view.
func Look(in Input) View {
	v := View{App: in.App, At: in.Now, Counts: map[Status]int{}, Rows: []Row{}, Channels: []artifacts.Pointer{}}
	seen := map[string]bool{}
	for _, e := range in.Entries {
		seen[e.Instance] = true
		v.Rows = append(v.Rows, in.row(e))
	}
	for id, m := range in.Members {
		if !seen[id] {
			v.Rows = append(v.Rows, Row{Instance: id, Status: Unknown, Group: m.Group, State: m.State})
		}
	}
	order := Statuses()
	slices.SortFunc(v.Rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.Status), slices.Index(order, b.Status)), strings.Compare(a.Channel, b.Channel), strings.Compare(a.Release, b.Release), strings.Compare(a.Instance, b.Instance))
	})
	for _, r := range v.Rows {
		v.Counts[r.Status]++
	}
	for _, p := range in.Channels {
		v.Channels = append(v.Channels, p)
	}
	slices.SortFunc(v.Channels, func(a, b artifacts.Pointer) int { return strings.Compare(a.Channel, b.Channel) })
	return v
}

func (in Input) row(e Entry) Row {
	r := Row{Instance: e.Instance, Channel: e.Channel, About: e.Version, Manifest: e.Manifest, Reported: e.Modified}
	member, inGroup := in.Members[e.Instance]
	if rec := e.Record; rec != nil {
		r.Group, r.AZ, r.Verdict, r.Code, r.Why = rec.Group, rec.AZ, rec.Verdict, rec.Code, rec.Why
		r.Since, r.NodeID, r.Boot, r.Agent = rec.Since, rec.NodeID, rec.Boot, rec.Agent
		r.Release = rec.Running
	} else if e.Bad != nil {
		r.Why = report.Clean(e.Bad.Error(), maxWhy)
	}
	if r.Release == "" && e.State == OK {
		r.Release = e.Version
	}
	if r.About == r.Release {
		r.About = ""
	}
	if !e.Modified.IsZero() && r.Since.After(e.Modified) {
		r.Since = e.Modified // the instance's clock is ahead
	}
	if inGroup {
		r.Group, r.State = member.Group, member.State
	}
	pointer, known := in.Channels[e.Channel]
	if known {
		r.Wants, r.Rollout = pointer.Choose(e.Instance).Version, pointer.InRollout(e.Instance)
	}
	switch {
	case in.Members != nil && !inGroup && e.State != Gone:
		r.Status = Ended
	case e.State == Gone && inGroup && member.State == "InService":
		r.Status, r.Why = Unknown, "it was drained, and the group has it in service"
	case e.State == Gone:
		r.Status = Left
	case e.Record == nil && e.State == OK:
		r.Status = Unknown
	case e.State == Failed && (!known || e.is(pointer) || r.Release == ""):
		r.Status = Bad
	case known && !e.has(pointer, r):
		r.Status = Behind
	default:
		r.Status = Well
	}
	return r
}

// is reports whether the record is about what the pointer has for its instance.
func (e Entry) is(p artifacts.Pointer) bool {
	wants := p.Choose(e.Instance)
	return wants.Version == e.Version && wants.ManifestSHA256.Short() == e.Manifest
}

// has reports whether the instance runs what the pointer has for it.
func (e Entry) has(p artifacts.Pointer, r Row) bool {
	if e.State == OK {
		return e.is(p)
	}
	return r.Release == r.Wants // it went on with another release than the record is about
}
