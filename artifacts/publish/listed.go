package publish

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
)

// Listed is a document as it is in the bucket.
type Listed[D any] struct {
	Name     string           // of the channel, or the version
	Document D                // zero where Err is not nil
	SHA256   artifacts.Digest // of the envelope
	Verified bool             // its signatures were verified; else it may be false
	Err      error            // why it is no valid document of this name
}

// look reads one kind of document for a list.
type look[D interface{ Validate() error }] struct {
	limit    int64
	verified func(data []byte) (D, error)
	about    func(D) bool // whether it is what its key says
}

func (l look[D]) at(ctx context.Context, b bucket.Bucket, name, key string) (Listed[D], error) {
	found := Listed[D]{Name: name}
	d, err := readDocument(ctx, b, key, l.limit)
	if errors.Is(err, bucket.ErrNotFound) || errors.Is(err, artifacts.ErrUntrusted) {
		found.Err = err // gone meanwhile, or too long
		return found, nil
	}
	if err != nil {
		return found, err
	}
	found.SHA256 = artifacts.Sum(d.data)
	if found.Document, err = l.verified(d.data); err == nil {
		found.Verified = true
		return found, nil
	}
	found.Document, found.Err = l.unverified(d.data)
	return found, nil
}

// unverified is the content of an envelope, whatever its signatures.
func (l look[D]) unverified(data []byte) (none D, err error) {
	var envelope struct {
		Payload string `json:"payload"`
	}
	if err := json.Unmarshal(data, &envelope); err != nil {
		return none, fmt.Errorf("envelope: %w", err)
	}
	payload, err := base64.StdEncoding.DecodeString(envelope.Payload)
	if err != nil { // DSSE allows either
		payload, err = base64.URLEncoding.DecodeString(envelope.Payload)
	}
	if err != nil {
		return none, fmt.Errorf("envelope: %w", err)
	}
	var d D
	if err := json.Unmarshal(payload, &d); err != nil {
		return none, fmt.Errorf("payload: %w", err)
	}
	if err := d.Validate(); err != nil {
		return none, err
	}
	if !l.about(d) {
		return none, errors.New("the document is about something else")
	}
	return d, nil
}
