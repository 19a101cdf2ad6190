package s3

import (
	"encoding/json"
	"io"
	"net/http"
	"path"
	"slices"
	"strings"
)

// policy is the part of a bucket's policy that is understood: what denies uploads
// by how they are to be encrypted. Everything else is not implemented, rather
// than ignored.
//
// Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
type policy struct {
	Version, ID string `json:",omitempty"`
	Statement   []statement

	text []byte // as it was put
}

type statement struct {
	Sid, Effect      string
	Principal        any
	Action, Resource names
	Condition        map[string]map[string]names
}

// names is one name or a list of them.
type names []string

// UnmarshalJSON implements [json.Unmarshaler].
func (n *names) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*n = names{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(n))
}

// maxPolicy is S3's limit.
const maxPolicy = 20 << 10

func (s *Store) putBucketPolicy(w http.ResponseWriter, r *request) error {
	text, err := io.ReadAll(io.LimitReader(r.Body, maxPolicy+1))
	if err != nil {
		return errIncompleteBody
	}
	err = s.SetPolicy(r.bucket, string(text))
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}

func (s *Store) getBucketPolicy(w http.ResponseWriter, r *request) error {
	return s.within(r.bucket, func(b *keyspace) error {
		if b.policy == nil {
			return &failure{http.StatusNotFound, "NoSuchBucketPolicy", "The bucket policy does not exist"}
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(b.policy.text) // the client is gone
		return nil
	})
}

func (s *Store) deleteBucketPolicy(w http.ResponseWriter, r *request) error {
	err := s.within(r.bucket, func(b *keyspace) error {
		b.policy = nil
		return nil
	})
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}

// SetPolicy sets the policy of a bucket, as PutBucketPolicy does.
func (s *Store) SetPolicy(bucket, text string) error {
	p, err := parsePolicy([]byte(text))
	if err != nil {
		return err
	}
	return s.within(bucket, func(b *keyspace) error {
		b.policy = p
		return nil
	})
}

func parsePolicy(text []byte) (*policy, error) {
	p := &policy{text: text}
	if len(text) > maxPolicy || json.Unmarshal(text, p) != nil || len(p.Statement) == 0 {
		return nil, badRequest("MalformedPolicy", "Policies must be valid JSON and the first byte must be '{'")
	}
	for _, st := range p.Statement {
		if st.Effect != "Deny" || !slices.Equal(st.Action, names{"s3:PutObject"}) || len(st.Condition) == 0 {
			return nil, notImplemented("A policy that does not only deny s3:PutObject under conditions")
		}
		for operator, keys := range st.Condition {
			if !slices.Contains([]string{"Null", "StringEquals", "StringNotEquals", "StringNotEqualsIfExists", "ArnNotEquals", "ArnNotEqualsIfExists"}, operator) {
				return nil, notImplemented("The operator " + operator)
			}
			for key := range keys {
				if header := headerOf(key); header != sseHeader && header != sseKeyHeader {
					return nil, notImplemented("The condition key " + key)
				}
			}
		}
	}
	return p, nil
}

// headerOf is the header that a condition key is about.
func headerOf(key string) string {
	return http.CanonicalHeaderKey(strings.TrimPrefix(strings.ToLower(key), "s3:"))
}

// allowsUpload reports whether no statement denies an upload. Parts belong to the
// upload that was begun.
func (p *policy) allowsUpload(r *request) error {
	if p != nil && slices.ContainsFunc(p.Statement, func(st statement) bool { return st.denies(r) }) {
		return &failure{http.StatusForbidden, "AccessDenied", "User is not authorized to perform: s3:PutObject on resource: \"arn:aws:s3:::" + r.bucket + "/" + r.key + "\" with an explicit deny in a resource-based policy"}
	}
	return nil
}

func (st statement) denies(r *request) bool {
	about := slices.ContainsFunc(st.Resource, func(resource string) bool {
		prefix, any := strings.CutSuffix(resource, "*")
		arn := "arn:aws:s3:::" + path.Join(r.bucket, r.key)
		return arn == resource || any && strings.HasPrefix(arn, prefix)
	})
	for operator, keys := range st.Condition {
		for key, values := range keys {
			about = about && holds(operator, r.Header.Get(headerOf(key)), headerOf(key), values)
		}
	}
	return about
}

// holds is one condition. What is compared unequal holds where the header is not
// there, with IfExists too.
func holds(operator, value, header string, values names) bool {
	if header == sseKeyHeader && value != "" {
		value = keyARN(value)
	}
	switch operator {
	case "Null":
		return slices.Contains(values, "true") == (value == "")
	case "StringEquals":
		return slices.Contains(values, value)
	}
	return !slices.Contains(values, value)
}
