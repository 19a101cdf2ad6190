package s3

import (
	"net/http"
	"regexp"
)

// createBucket accepts any region: buckets have none here.
func (s *Store) createBucket(w http.ResponseWriter, r *request) error {
	valid := regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	if !valid.MatchString(r.bucket) {
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
