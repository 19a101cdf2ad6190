package census

import (
	"slices"
	"time"

	"koboshi/artifacts"
)

// Release is one release of a channel, as the keys of records have it.
type Release struct {
	Channel, Version string
	Manifest         artifacts.Digest
}

func (r Release) is(f Found) bool {
	return f.Channel == r.Channel && f.Version == r.Version && f.Manifest == r.Manifest.Short()
}

// Passed is how many instances a release is good on.
type Passed struct {
	Good   int     // healthy for long enough
	Young  int     // healthy, and not for long enough yet
	Failed []Found // where it failed, on instances that are gone by now too
}

// Bad is the instances on which the release failed.
func (p Passed) Bad() []string {
	bad := make([]string, 0, len(p.Failed))
	for _, f := range p.Failed {
		bad = append(bad, f.Instance)
	}
	return bad
}

// Judge counts the records of a release. An instance is good when its newest record says
// so, and has for that long, by the store's clock.
func (l Listing) Judge(r Release, since time.Duration, now time.Time) Passed {
	var p Passed
	for _, f := range slices.Concat(l.Newest, l.Lost) {
		age := max(0, now.Sub(f.Modified.Truncate(time.Second))) // a Date is in seconds
		switch {
		case !r.is(f):
		case f.State == Failed:
			p.Failed = append(p.Failed, f)
		case f.State == OK && age >= since:
			p.Good++
		case f.State == OK:
			p.Young++
		}
	}
	return p
}

// Rollout is how far a channel's newest release has come: Version, for Percent of the
// instances, while the others stay at From. Where nothing is rolled out, it is the release that the
// channel points to, for all of them.
type Rollout struct {
	Channel   string    `json:"channel"`
	From      string    `json:"from,omitzero"`
	Version   string    `json:"version"`
	Percent   int       `json:"percent"`
	Issued    time.Time `json:"issued"` // the pointer
	At        time.Time `json:"at"`
	Instances int       `json:"instances"` // that are known
	In        int       `json:"in"`        // of these, in the rollout
	OK        int       `json:"ok"`        // of those
	Failed    int       `json:"failed"`
	Unknown   int       `json:"unknown"` // no record, or one of another release
	Bad       []string  `json:"failed_instances"`
	Release   Release   `json:"-"`
}

// Progress counts the rollout of a pointer. Without members, the instances are those that
// have a record in the listing and are not gone; with them, exactly those. An instance that
// failed counts as such when it is gone, too.
func (l Listing) Progress(p artifacts.Pointer, members map[string]Member, now time.Time) Rollout {
	r := Rollout{Channel: p.Channel, Version: p.Version, Percent: 100, Issued: p.Issued, At: now,
		Release: Release{p.Channel, p.Version, p.ManifestSHA256}}
	if p.Next != nil {
		r.From, r.Version, r.Percent = p.Version, p.Next.Version, p.Next.Percent
		r.Release = Release{p.Channel, p.Next.Version, p.Next.ManifestSHA256}
	}
	stands := map[string]State{} // "" = with another release, or without a record
	for _, f := range l.Newest {
		_, member := members[f.Instance]
		if f.State == Gone || members != nil && !member {
			continue
		}
		if stands[f.Instance] = ""; r.Release.is(f) {
			stands[f.Instance] = f.State
		}
	}
	for id := range members {
		if _, known := stands[id]; !known {
			stands[id] = ""
		}
	}
	for id, state := range stands {
		r.Instances++
		if p.Next != nil && !p.InRollout(id) {
			continue
		}
		r.In++
		switch state {
		case OK:
			r.OK++
		case Failed: // counted below
		default:
			r.Unknown++
		}
	}
	r.Bad = l.Judge(r.Release, 0, now).Bad()
	r.Failed = len(r.Bad)
	slices.Sort(r.Bad)
	return r
}
