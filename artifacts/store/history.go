package store

import (
	"errors"
	"fmt"
	"path"
	"time"

	"koboshi/artifacts"
	"koboshi/artifacts/durable"
)

// maxOrder bounds the counter that orders events: a damaged file must not be
// able to use it up.
const maxOrder = 1 << 53

// seen is a channel's pointer to the release, and when it was last read.
type seen struct {
	Seen     time.Time `json:"seen"`
	Envelope []byte    `json:"envelope"` // base64 of the signed bytes
	Source   string    `json:"source,omitzero"`
	ETag     string    `json:"etag,omitzero"` // that the source had for them
}

// Place is where a release passed the gate: an instance, and what it knew of
// itself then. Region, AZ and Channel may be "".
type Place struct {
	Instance string `json:"instance"`
	Region   string `json:"region,omitzero"`
	AZ       string `json:"az,omitzero"`
	Channel  string `json:"channel,omitzero"`
}

// healthy is the last time that the release passed the gate.
type healthy struct {
	Place Place     `json:",embed"`
	Order int64     `json:"order"` // from 1; a later event has a larger one
	At    time.Time `json:"at"`    // for people
}

// readHealthy is zero where the file is missing or torn. Errors are [ErrDisk].
func (s *Store) readHealthy(id string) (h healthy, err error) {
	err = s.readJSON(id, healthyFile, &h)
	if errors.Is(err, errIncomplete) || err == nil && (h.Order < 1 || h.Order > maxOrder) {
		return healthy{}, nil
	}
	return h, err
}

// readPointers is the pointers that verify and point to r. Errors are [ErrDisk].
func (s *Store) readPointers(r *Release) (all []Sighting, err error) {
	channels, err := s.names(path.Join(releasesDir, r.id, metaDir, pointersDir))
	if err != nil {
		return nil, nil //nolint:nilerr // without the directory no channel is known
	}
	for _, channel := range channels {
		if artifacts.CheckName(channel) != nil {
			continue // being written
		}
		var on seen
		err := s.readJSON(r.id, path.Join(pointersDir, channel), &on)
		if errors.Is(err, ErrDisk) {
			return nil, err
		}
		p, e := s.verified.pointer(on.Envelope, r.App(), channel)
		if err == nil && e == nil && p.Pointer().PointsTo(r.ManifestSHA256()) {
			all = append(all, Sighting{Pointer: p, Seen: on.Seen, Source: on.Source, ETag: on.ETag})
		}
	}
	return all, nil
}

// newestOrder is the largest counter in the store, of verified releases and of
// others; 0 in an empty one. Files that cannot be read are left out.
func (s *Store) newestOrder() (newest int64, err error) {
	names, err := s.names(releasesDir)
	for _, id := range names {
		h, _ := s.readHealthy(id)
		newest = max(newest, h.Order)
		var made complete
		if s.readJSON(id, completeFile, &made) == nil && made.Order <= maxOrder {
			newest = max(newest, made.Order)
		}
	}
	return newest, err
}

// MarkHealthy records that a release has passed the gate. Where it passed in the
// same place before, and nothing has happened since, nothing is written. Errors
// are [ErrDisk].
func (s *Store) MarkHealthy(r Release, at Place, when time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	newest, err := s.newestOrder()
	if err != nil {
		return err
	}
	h, err := s.readHealthy(r.id)
	if err != nil {
		return err
	}
	if h.Order == newest && newest > 0 && h.Place == at {
		return s.change("keep healthy", func() error { return durable.SyncDir(s.root, path.Join(releasesDir, r.id, metaDir)) })
	}
	return s.writeJSON(path.Join(releasesDir, r.id), healthyFile, healthy{Place: at, Order: newest + 1, At: when.UTC()})
}

// MarkSeen records that a channel still points to a release. Errors are
// [ErrDisk].
func (s *Store) MarkSeen(r Release, on Sighting) error {
	if p := on.Pointer.Pointer(); !p.PointsTo(r.ManifestSHA256()) {
		return fmt.Errorf("the pointer is to manifest %s, not %s", p.ManifestSHA256.Short(), r.ManifestSHA256().Short())
	}
	name := path.Join(pointersDir, on.Pointer.Pointer().Channel)
	return s.writeJSON(path.Join(releasesDir, r.id), name, on.stored())
}

func (on Sighting) stored() seen {
	return seen{Seen: on.Seen.UTC(), Envelope: on.Pointer.Envelope(), Source: on.Source, ETag: on.ETag}
}
