package s3

import (
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
)

var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// CheckBucketName refuses what is no name of a bucket.
//
// Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
func CheckBucketName(name string) error {
	_, notIP := netip.ParseAddr(name)
	if !bucketName.MatchString(name) || strings.Contains(name, "..") || notIP == nil {
		return fmt.Errorf("%q is no name of a bucket: 3 to 63 lower-case letters, digits, hyphens and dots", name)
	}
	return nil
}

// createBucket accepts any region: buckets have none here.
func (s *Store) createBucket(w http.ResponseWriter, r *request) error {
	if CheckBucketName(r.bucket) != nil {
		return badRequest("InvalidBucketName", "The specified bucket is not valid.")
	}
	if r.ContentLength != 0 {
		if err := readDocument(r.Request, &struct{ LocationConstraint string }{}); err != nil {
			return err
		}
	}
	if !s.addBucket(r.bucket) {
		return &failure{http.StatusConflict, "BucketAlreadyOwnedByYou", "Your previous request to create the named bucket succeeded and you already own it."}
	}
	w.Header().Set("Location", "/"+r.bucket)
	w.WriteHeader(http.StatusOK)
	return nil
}

// addBucket reports whether the name was free.
func (s *Store) addBucket(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, exists := s.buckets[name]; exists {
		return false
	}
	s.ensureBucket(name)
	return true
}
