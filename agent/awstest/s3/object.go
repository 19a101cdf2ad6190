package s3

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
)

func (s *Store) putObject(w http.ResponseWriter, r *request) error {
	condition, err := parseWriteCondition(r.Header)
	if err != nil {
		return err
	}
	header, err := objectHeader(r.Header)
	if err != nil {
		return err
	}
	encrypted, err := requestedEncryption(r.Header)
	if err != nil {
		return err
	}
	payload, err := readPayload(r.Request, maxUpload)
	if err != nil {
		return err
	}
	o := &object{
		data:       payload.data,
		etag:       quoteETag(encrypted.etagBytes(payload.md5)),
		modified:   s.now(),
		header:     header,
		checksum:   payload.checksum,
		encryption: encrypted,
	}
	if err := s.commit(r, condition, o); err != nil {
		return err
	}
	w.Header().Set("ETag", o.etag)
	o.checksum.setHeaders(w.Header())
	o.encryption.setHeaders(w.Header())
	w.WriteHeader(http.StatusOK)
	return nil
}

// commit stores an object if it is allowed and the condition is met, in one step.
func (s *Store) commit(r *request, condition writeCondition, o *object) error {
	return s.within(r.bucket, func(b *keyspace) error {
		if err := b.policy.allowsUpload(r); err != nil {
			return err
		}
		if err := condition.check(b, r.key); err != nil {
			return err
		}
		b.objects[r.key] = o
		return nil
	})
}

// getObject answers GET and HEAD.
func (s *Store) getObject(w http.ResponseWriter, r *request) error {
	if err := notEncrypted(r.Header); err != nil {
		return err
	}
	o, err := s.object(r.bucket, r.key)
	if err != nil {
		return err
	}
	if err := checkRead(r.Header, o); err != nil {
		if errors.Is(err, errNotModified) {
			o.describe(w.Header())
		}
		return err
	}
	part, partial, err := parseRange(r.Header.Get("Range"), o.data.size)
	if err != nil {
		w.Header().Set("Content-Range", "bytes */"+strconv.FormatInt(o.data.size, 10))
		return err
	}
	o.describe(w.Header())
	status := http.StatusOK
	if partial {
		status = http.StatusPartialContent
		w.Header().Set("Content-Range", part.contentRange(o.data.size))
	} else if strings.EqualFold(r.Header.Get("X-Amz-Checksum-Mode"), "ENABLED") {
		o.checksum.setHeaders(w.Header())
	}
	w.Header().Set("Content-Length", strconv.FormatInt(part.size, 10))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_ = o.data.slice(part.offset, part.size).writeTo(w) // the client is gone
	}
	return nil
}

func (s *Store) deleteObject(w http.ResponseWriter, r *request) error {
	condition := writeCondition{match: r.Header.Get("If-Match")}
	err := s.within(r.bucket, func(b *keyspace) error {
		if err := condition.check(b, r.key); err != nil {
			return err
		}
		delete(b.objects, r.key)
		return nil
	})
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}
