package s3

import (
	"cmp"
	"errors"
	"maps"
	"net/http"
	"regexp"
	"slices"
)

func (s *Store) listBuckets(w http.ResponseWriter, _ *request) error {
	type bucket struct {
		Name         string
		CreationDate timestamp
	}
	var result struct {
		Owner   owner
		Buckets struct{ Bucket []bucket }
	}
	result.Owner = onlyOwner()
	s.mu.Lock()
	for _, name := range slices.Sorted(maps.Keys(s.buckets)) {
		result.Buckets.Bucket = append(result.Buckets.Bucket, bucket{name, timestamp(s.buckets[name].created)})
	}
	s.mu.Unlock()
	writeXML(w, http.StatusOK, document{"ListAllMyBucketsResult", result})
	return nil
}

// owner owns everything here.
type owner struct{ ID, DisplayName string }

func onlyOwner() owner { return owner{"awstest", "awstest"} }

func (s *Store) createBucket(w http.ResponseWriter, r *request) error {
	valid := regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	if !valid.MatchString(r.bucket) {
		return badRequest("InvalidBucketName", "The specified bucket is not valid.")
	}
	var configuration struct{ LocationConstraint string }
	if r.ContentLength != 0 {
		if _, err := readDocument(r.Request, &configuration); err != nil {
			return err
		}
	}
	if !s.addBucket(r.bucket, configuration.LocationConstraint) {
		return &failure{http.StatusConflict, "BucketAlreadyOwnedByYou", "Your previous request to create the named bucket succeeded and you already own it."}
	}
	w.Header().Set("Location", "/"+r.bucket)
	w.WriteHeader(http.StatusOK)
	return nil
}

// addBucket makes a bucket in a region, the default one where that is empty. It
// reports whether the name was free.
func (s *Store) addBucket(name, region string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, exists := s.buckets[name]; exists {
		return false
	}
	b := s.ensureBucket(name)
	b.region = cmp.Or(region, b.region)
	return true
}

// region returns where a bucket is.
func (s *Store) region(bucket string) (region string, err error) {
	err = s.within(bucket, func(b *keyspace) error {
		region = b.region
		return nil
	})
	return region, err
}

func (s *Store) headBucket(w http.ResponseWriter, r *request) error {
	region, err := s.region(r.bucket)
	if err != nil {
		return err
	}
	w.Header().Set("X-Amz-Bucket-Region", region)
	w.WriteHeader(http.StatusOK)
	return nil
}

func (s *Store) deleteBucket(w http.ResponseWriter, r *request) error {
	err := s.within(r.bucket, func(b *keyspace) error {
		if len(b.objects) > 0 {
			return &failure{http.StatusConflict, "BucketNotEmpty", "The bucket you tried to delete is not empty"}
		}
		delete(s.buckets, r.bucket)
		return nil
	})
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}

func (s *Store) getBucketLocation(w http.ResponseWriter, r *request) error {
	region, err := s.region(r.bucket)
	if err != nil {
		return err
	}
	if region == defaultRegion {
		region = "" // what S3 says of its first region
	}
	writeXML(w, http.StatusOK, document{"LocationConstraint", region})
	return nil
}

// getBucketVersioning says that versioning was never on.
func (s *Store) getBucketVersioning(w http.ResponseWriter, r *request) error {
	_, err := s.region(r.bucket)
	if err == nil {
		writeXML(w, http.StatusOK, document{"VersioningConfiguration", struct{}{}})
	}
	return err
}

// deleteObjects removes up to 1,000 objects, each by itself.
func (s *Store) deleteObjects(w http.ResponseWriter, r *request) error {
	var request struct {
		Quiet  bool
		Object []struct{ Key, ETag string }
	}
	payload, err := readDocument(r.Request, &request)
	if err != nil {
		return err
	}
	if !payload.proven {
		return badRequest("InvalidRequest", "Missing required header for this request: Content-MD5 OR x-amz-checksum-*")
	}
	if len(request.Object) == 0 || len(request.Object) > 1000 {
		return errMalformedXML
	}
	type deleted struct{ Key string }
	type failed struct{ Key, Code, Message string }
	var result struct {
		Deleted []deleted
		Error   []failed
	}
	err = s.within(r.bucket, func(b *keyspace) error {
		for _, o := range request.Object {
			err := b.deleteObject(o.Key, writeCondition{match: o.ETag})
			if f, ok := errors.AsType[*failure](err); ok {
				result.Error = append(result.Error, failed{o.Key, f.code, f.message})
			} else if !request.Quiet {
				result.Deleted = append(result.Deleted, deleted{o.Key})
			}
		}
		return nil
	})
	if err == nil {
		writeXML(w, http.StatusOK, document{"DeleteResult", result})
	}
	return err
}
