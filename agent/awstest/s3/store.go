// Package s3 is an in-memory S3, addressed path-style (/bucket/key). It keeps S3's
// semantics where clients depend on them: conditional reads and writes, ranges,
// checksums in headers and trailers, multipart uploads, listings, error codes.
// It has the operations that koboshi and the AWS CLI use.
//
// What it does not do: versions, ACLs, lifecycle, events, policies other than those
// that demand encryption (all of them 501 NotImplemented), encrypting, verifying signatures (there only has to be one),
// and the CRC64NVME that S3 adds to objects uploaded without a checksum.
package s3

import (
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Store is all buckets. Its methods are for the test that owns it; clients use
// HTTP. It is safe for concurrent use.
type Store struct {
	now func() time.Time

	mu      sync.Mutex
	buckets map[string]*keyspace
}

// keyspace is the content of one bucket, guarded by Store.mu. The objects in it never change.
type keyspace struct {
	objects map[string]*object
	uploads map[string]*upload
	policy  *policy // nil = none
}

// New returns a store without buckets. Objects are stamped by now.
func New(now func() time.Time) *Store {
	return &Store{now: now, buckets: map[string]*keyspace{}}
}

// CreateBucket makes a bucket, unless it is there.
func (s *Store) CreateBucket(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ensureBucket(name)
}

func (s *Store) ensureBucket(name string) *keyspace {
	b, ok := s.buckets[name]
	if !ok {
		b = &keyspace{
			objects: map[string]*object{},
			uploads: map[string]*upload{},
		}
		s.buckets[name] = b
	}
	return b
}

// Put stores an object, and makes its bucket if need be. The object keeps data
// itself: do not change it afterwards. The ETag comes in quotes, as in its header.
func (s *Store) Put(bucket, key string, data []byte) (etag string) {
	o := newObject(s.now(), contentOf(data), http.Header{}, "")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ensureBucket(bucket).objects[key] = o
	return o.etag
}

// Object returns a copy of an object's bytes.
func (s *Store) Object(bucket, key string) ([]byte, bool) {
	o, err := s.object(bucket, key)
	if err != nil {
		return nil, false
	}
	return o.data.bytes(), true
}

// Keys returns a bucket's keys in order.
func (s *Store) Keys(bucket string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.buckets[bucket]
	if !ok {
		return nil
	}
	return slices.Sorted(maps.Keys(b.objects))
}

// Delete removes an object, if it is there.
func (s *Store) Delete(bucket, key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b, ok := s.buckets[bucket]; ok {
		delete(b.objects, key)
	}
}

// Mutate replaces an object's bytes by the result of change, which gets a copy.
// Metadata stays, ETag and checksum become those of the new bytes. It reports
// whether there was such an object. Change must not call back into s.
func (s *Store) Mutate(bucket, key string, change func([]byte) []byte) bool {
	return s.within(bucket, func(b *keyspace) error {
		o, ok := b.objects[key]
		if !ok {
			return errNoSuchKey
		}
		b.objects[key] = newObject(s.now(), contentOf(change(o.data.bytes())), o.header, o.checksum.algorithm)
		return nil
	}) == nil
}

// within runs do on a bucket, under the lock of s.
func (s *Store) within(bucket string, do func(*keyspace) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.buckets[bucket]
	if !ok {
		return errNoSuchBucket
	}
	return do(b)
}

// object looks an object up; its errors are errNoSuchBucket and errNoSuchKey.
func (s *Store) object(bucket, key string) (o *object, err error) {
	err = s.within(bucket, func(b *keyspace) error {
		var ok bool
		if o, ok = b.objects[key]; !ok {
			return errNoSuchKey
		}
		return nil
	})
	return o, err
}
