package awstest

import (
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"
)

// s3DefaultRegion is where buckets are, unless their creator said otherwise.
const s3DefaultRegion = "us-east-1"

// S3 is an in-memory S3, addressed path-style (/bucket/key). It keeps S3's
// semantics where clients depend on them: conditional reads and writes, ranges,
// checksums in headers and trailers, multipart uploads, listings, error codes.
//
// What it does not do: versions, ACLs, encryption, lifecycle, events (all of
// them 501 NotImplemented), verifying signatures (there only has to be one),
// and the CRC64NVME that S3 adds to objects uploaded without a checksum.
//
// Its methods are for the test that owns it; clients use HTTP. It is safe for
// concurrent use.
type S3 struct {
	now func() time.Time

	mu      sync.Mutex
	buckets map[string]*s3Bucket
}

// s3Bucket is guarded by S3.mu; the objects in it never change.
type s3Bucket struct {
	created time.Time
	region  string
	objects map[string]*s3Object
	uploads map[string]*s3Upload
}

// newS3 returns an S3 without buckets. Objects are stamped by now.
func newS3(now func() time.Time) *S3 {
	return &S3{now: now, buckets: map[string]*s3Bucket{}}
}

// CreateBucket makes a bucket, unless it is there.
func (s *S3) CreateBucket(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ensureBucket(name)
}

func (s *S3) ensureBucket(name string) *s3Bucket {
	b, ok := s.buckets[name]
	if !ok {
		b = &s3Bucket{
			created: s.now(),
			region:  s3DefaultRegion,
			objects: map[string]*s3Object{},
			uploads: map[string]*s3Upload{},
		}
		s.buckets[name] = b
	}
	return b
}

// Put stores an object, and makes its bucket if need be. The object keeps data
// itself: do not change it afterwards. The ETag comes in quotes, as in its header.
func (s *S3) Put(bucket, key string, data []byte) (etag string) {
	o := newS3Object(s.now(), s3DataOf(data), http.Header{}, "")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ensureBucket(bucket).objects[key] = o
	return o.etag
}

// Object returns a copy of an object's bytes.
func (s *S3) Object(bucket, key string) ([]byte, bool) {
	o, err := s.object(bucket, key)
	if err != nil {
		return nil, false
	}
	return o.data.bytes(), true
}

// Keys returns a bucket's keys in order.
func (s *S3) Keys(bucket string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.buckets[bucket]
	if !ok {
		return nil
	}
	return slices.Sorted(maps.Keys(b.objects))
}

// Delete removes an object, if it is there.
func (s *S3) Delete(bucket, key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b, ok := s.buckets[bucket]; ok {
		delete(b.objects, key)
	}
}

// Mutate replaces an object's bytes by what change makes of a copy of them.
// Metadata stays, ETag and checksum become those of the new bytes. It reports
// whether there was such an object. Change must not call back into s.
func (s *S3) Mutate(bucket, key string, change func([]byte) []byte) bool {
	return s.within(bucket, func(b *s3Bucket) error {
		o, ok := b.objects[key]
		if !ok {
			return errNoSuchKey
		}
		b.objects[key] = newS3Object(s.now(), s3DataOf(change(o.data.bytes())), o.header, o.checksum.algorithm)
		return nil
	}) == nil
}

// within runs do upon a bucket, with nothing else going on in s.
func (s *S3) within(bucket string, do func(*s3Bucket) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.buckets[bucket]
	if !ok {
		return errNoSuchBucket
	}
	return do(b)
}

// object looks an object up; its errors are errNoSuchBucket and errNoSuchKey.
func (s *S3) object(bucket, key string) (o *s3Object, err error) {
	err = s.within(bucket, func(b *s3Bucket) error {
		var ok bool
		if o, ok = b.objects[key]; !ok {
			return errNoSuchKey
		}
		return nil
	})
	return o, err
}
