package lease

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"koboshi/artifacts/bucket"
)

// objectShard is how many ids one directory has.
const objectShard = 256

// Objects is a [Table] of one object an id, in a bucket:
//
//	nodes/<scope>/<id/256, 4 digits>/<id, 7 digits>.json
//	nodes/<scope>/probe.json
//
// A write has If-None-Match: * where there was no object, else If-Match with the ETag that
// was read. ETags stand for bytes, and the bytes of an item never come back.
//
// A list shows sizes: an object has an even number of bytes where its id is free, for
// which a line feed is appended. So a claimant finds an id that was released a moment ago
// among hundreds that were renewed a moment ago. Nothing but the order of its reads
// depends on that.
type Objects struct {
	bucket    bucket.Bucket
	scope     string
	directory string
	name      string
	now       func() time.Time
}

var _ Prober = (*Objects)(nil)

// NewObjects is the table of a scope in a bucket, which is opened where nodes/ is. name
// is that place, for people.
func NewObjects(b bucket.Bucket, scope, name string, now func() time.Time) *Objects {
	return &Objects{bucket: b, scope: scope, directory: Directory(scope), name: name, now: now}
}

// Directory is where the objects of a scope are, with a slash at its end.
func Directory(scope string) string { return "nodes/" + scope + "/" }

// String implements [Table].
func (o *Objects) String() string { return o.name }

// ShardSize implements [Table].
func (o *Objects) ShardSize() int { return objectShard }

func (o *Objects) key(id int) string {
	return fmt.Sprintf("%s%04d/%07d.json", o.directory, id/objectShard, id)
}

// id is the reverse of key; -1 for what is no item's key, such as a probe's.
func (o *Objects) id(key string) int {
	name := strings.TrimSuffix(key[strings.LastIndexByte(key, '/')+1:], ".json")
	id, err := strconv.ParseUint(name, 10, 20)
	if err != nil || o.key(int(id)) != key { //nolint:gosec // 20 bits
		return -1
	}
	return int(id) //nolint:gosec // 20 bits
}

// Get implements [Table]. A missing object and one that is too large have no Date.
func (o *Objects) Get(ctx context.Context, id int) (Stored, error) {
	s := Stored{ID: id}
	data, object, err := bucket.Read(ctx, o.bucket, o.key(id), maxItem)
	switch {
	case errors.Is(err, bucket.ErrNotFound):
		return s, nil
	case errors.Is(err, bucket.ErrTooLarge):
		s.Exists, s.Bad = true, fmt.Errorf("%w: %w", ErrItem, err)
		return s, nil
	case err != nil:
		return s, err
	}
	s.Exists, s.Version, s.Modified, s.Date = true, object.ETag, object.Modified, object.Date
	s.Item, s.Bad = s.parse(data, o.scope, o.now())
	return s, nil
}

// Swap implements [Table].
func (o *Objects) Swap(ctx context.Context, old Stored, next Item) (Stored, error) {
	when := bucket.Condition{Absent: !old.Exists, ETag: old.Version, Once: true}
	if old.Exists && old.Version == "" {
		return Stored{ID: old.ID}, fmt.Errorf("%s has no ETag of node id %d that a write could be conditional on", o.name, old.ID)
	}
	data, err := next.encode(o.scope, old.ID)
	if err != nil {
		return Stored{ID: old.ID}, err
	}
	if sized(int64(len(data))) != next.State {
		data = append(data, '\n')
	}
	object, err := o.bucket.Put(ctx, o.key(old.ID), bytes.NewReader(data), int64(len(data)), when)
	switch {
	case errors.Is(err, bucket.ErrExists), errors.Is(err, bucket.ErrChanged):
		return Stored{ID: old.ID}, fmt.Errorf("%w: %w", ErrChanged, err)
	case errors.Is(err, bucket.ErrConflict):
		return Stored{ID: old.ID}, fmt.Errorf("%w: %w", ErrBusy, err)
	case err != nil:
		return Stored{ID: old.ID}, err
	}
	return Stored{ID: old.ID, Exists: true, Item: &next, Version: object.ETag, Modified: object.Modified, Date: object.Date}, nil
}

// sized is the state for which an object has so many bytes.
func sized(n int64) State {
	if n%2 == 0 {
		return Free
	}
	return Held
}

// List implements [Table]: no item is read.
func (o *Objects) List(ctx context.Context, shard int) ([]Stored, error) {
	return o.list(ctx, fmt.Sprintf("%s%04d/", o.directory, shard))
}

// ListAll lists every id of the scope, 1,000 with each request.
func (o *Objects) ListAll(ctx context.Context) ([]Stored, error) { return o.list(ctx, o.directory) }

func (o *Objects) list(ctx context.Context, prefix string) (found []Stored, err error) {
	for object, err := range o.bucket.List(ctx, prefix) {
		if err != nil {
			return nil, err
		}
		if id := o.id(object.Key); id >= 0 {
			found = append(found, Stored{ID: id, Exists: true, State: sized(object.Size), Version: object.ETag, Modified: object.Modified, Date: object.Date})
		}
	}
	return found, nil
}

// probeKey is that of no id.
func (o *Objects) probeKey() string { return o.directory + "probe.json" }

// PutProbe implements [Prober].
func (o *Objects) PutProbe(ctx context.Context, stale bool) error {
	when := bucket.Condition{Absent: true, Once: true}
	if stale {
		when = bucket.Condition{ETag: bucket.NoObject, Once: true}
	}
	body := fmt.Sprintf("%q\n", probeText)
	_, err := o.bucket.Put(ctx, o.probeKey(), strings.NewReader(body), int64(len(body)), when)
	if errors.Is(err, bucket.ErrExists) || errors.Is(err, bucket.ErrChanged) {
		return fmt.Errorf("%w: %w", ErrChanged, err)
	}
	return err
}

// GetProbe implements [Prober].
func (o *Objects) GetProbe(ctx context.Context) (time.Time, error) {
	_, object, err := bucket.Read(ctx, o.bucket, o.probeKey(), maxItem)
	return object.Date, err
}
