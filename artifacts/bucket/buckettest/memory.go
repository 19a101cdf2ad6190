package buckettest

import (
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
)

// Memory is a bucket in memory, for any number of goroutines. What can go
// wrong with it is switched on by its other methods.
type Memory struct {
	mu                 sync.Mutex
	objects            map[string]stored
	faults             []*Fault
	damages            map[string]*damage
	calls              map[call]int
	careless, untagged bool
	now                func() time.Time
}

type stored struct {
	data     []byte // never written to once stored
	etag     string // of the content, as S3's is: the same bytes have the same ETag
	modified time.Time
}

func (s stored) object(key string, now time.Time) bucket.Object {
	return bucket.Object{Key: key, Size: int64(len(s.data)), ETag: s.etag, Modified: s.modified, Date: now.UTC().Truncate(time.Second)}
}

// NewMemory is an empty bucket that works.
func NewMemory() *Memory {
	return &Memory{objects: map[string]stored{}, damages: map[string]*damage{}, calls: map[call]int{}, now: time.Now}
}

// SetClock gives the store another clock than the machine's.
func (m *Memory) SetClock(now func() time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = now
}

// Get reads a range of an object, as [bucket.Bucket] says.
func (m *Memory) Get(ctx context.Context, key string, r bucket.Range) (io.ReadCloser, bucket.Object, error) {
	if fault := m.begin(Get, key); fault.Err != nil {
		return nil, bucket.Object{}, fmt.Errorf("get %s: %w", key, fault.Err)
	}
	body, object, err := m.get(ctx, key, r)
	if err != nil {
		return nil, bucket.Object{}, fmt.Errorf("get %s: %w", key, err)
	}
	return body, object, nil
}

func (m *Memory) get(ctx context.Context, key string, r bucket.Range) (io.ReadCloser, bucket.Object, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.objects[key]
	switch {
	case ctx.Err() != nil:
		return nil, bucket.Object{}, ctx.Err()
	case !ok:
		return nil, bucket.Object{}, bucket.ErrNotFound
	case r.ETag != "" && r.ETag != s.etag:
		return nil, bucket.Object{}, bucket.ErrChanged
	case r.Unless != "" && r.Unless == s.etag:
		return nil, bucket.Object{}, bucket.ErrUnchanged
	}
	length, err := r.Of(int64(len(s.data)))
	if err != nil {
		return nil, bucket.Object{}, err
	}
	return &body{memory: m, key: key, data: s.data[r.Offset : r.Offset+length], at: r.Offset}, s.object(key, m.now()), nil
}

// Put stores an object, as [bucket.Bucket] says.
func (m *Memory) Put(ctx context.Context, key string, body io.ReaderAt, size int64, when bucket.Condition) (bucket.Object, error) {
	fault := m.begin(Put, key)
	if fault.Err != nil && !fault.Applied {
		return bucket.Object{}, fmt.Errorf("put %s: %w", key, fault.Err)
	}
	data, err := io.ReadAll(io.NewSectionReader(body, 0, size))
	if err == nil && int64(len(data)) != size {
		err = fmt.Errorf("body of %d bytes, want %d", len(data), size)
	}
	var object bucket.Object
	if err == nil {
		object, err = m.put(ctx, key, data, when)
	}
	if err == nil {
		err = fault.Err
	}
	if err != nil {
		return bucket.Object{}, fmt.Errorf("put %s: %w", key, err)
	}
	return object, nil
}

func (m *Memory) put(ctx context.Context, key string, data []byte, when bucket.Condition) (none bucket.Object, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.objects[key]
	switch {
	case ctx.Err() != nil:
		return none, ctx.Err()
	case m.careless:
	case when.Absent && ok:
		return none, bucket.ErrExists
	case when.ETag != "" && (!ok || s.etag != when.ETag):
		return none, bucket.ErrChanged
	}
	return m.store(key, data), nil
}

// IgnoreConditions makes it a store that takes every write, whatever its condition.
func (m *Memory) IgnoreConditions() { m.careless = true }

// ForgetETags makes it a store without ETags, which has no conditions but Absent.
func (m *Memory) ForgetETags() { m.untagged = true }

func (m *Memory) store(key string, data []byte) bucket.Object {
	s := stored{data: data, etag: `"` + artifacts.Sum(data).String() + `"`, modified: m.now().UTC()}
	if m.untagged {
		s.etag = ""
	}
	m.objects[key] = s
	return s.object(key, m.now())
}

// Delete removes an object, as [bucket.Bucket] says.
func (m *Memory) Delete(ctx context.Context, key string) error {
	if fault := m.begin(Delete, key); fault.Err != nil {
		return fmt.Errorf("delete %s: %w", key, fault.Err)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	m.Drop(key)
	return nil
}

// List yields what begins with prefix, as it was when the listing began.
func (m *Memory) List(ctx context.Context, prefix string) iter.Seq2[bucket.Object, error] {
	return func(yield func(bucket.Object, error) bool) {
		if fault := m.begin(List, prefix); fault.Err != nil {
			yield(bucket.Object{}, fmt.Errorf("list %s: %w", prefix, fault.Err))
			return
		}
		m.mu.Lock()
		objects, now := maps.Clone(m.objects), m.now()
		m.mu.Unlock()
		for _, key := range slices.Sorted(maps.Keys(objects)) {
			if err := ctx.Err(); err != nil {
				yield(bucket.Object{}, err)
				return
			}
			if strings.HasPrefix(key, prefix) && !yield(objects[key].object(key, now), nil) {
				return
			}
		}
	}
}
