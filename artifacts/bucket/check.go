package bucket

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Check is one thing that is expected of a store, as it was tried out.
type Check struct {
	What  string // such as "a range is read"
	Found string // what the store did instead; "" = what is expected
	Needs string // what depends on it; "" = nothing, the signed hashes decide
}

// CheckStore tries out what koboshi expects of a store, on an object of its own
// in directory ("" or with a slash at its end), which is deleted at the end. The
// error is that the object could not be written at all.
func CheckStore(ctx context.Context, b Bucket, directory string) ([]Check, error) {
	t := &trial{ctx: ctx, bucket: b, key: directory + "probe-" + strings.ToLower(rand.Text())}
	first, err := t.put("first", Condition{Absent: true})
	if err != nil {
		return nil, err
	}
	t.refused("a write with If-None-Match: * over an object is refused", Condition{Absent: true}, ErrExists, "a release stays as it was published")
	t.refused("a write with If-Match and another ETag is refused", Condition{ETag: NoObject}, ErrChanged, "no promotion is lost without an error")
	t.swapped(first)
	t.read()
	t.listed()
	t.deleted()
	return t.checks, nil
}

// trial is the object that is tried out.
type trial struct {
	ctx    context.Context
	bucket Bucket
	key    string
	text   string // what is stored
	checks []Check
}

func (t *trial) put(text string, when Condition) (Object, error) {
	object, err := t.bucket.Put(t.ctx, t.key, strings.NewReader(text), int64(len(text)), when)
	if err == nil {
		t.text = text
	}
	return object, err
}

func (t *trial) found(what, needs string, err error, instead string) {
	if err != nil {
		instead = err.Error()
	}
	t.checks = append(t.checks, Check{what, instead, needs})
}

func (t *trial) refused(what string, when Condition, want error, needs string) {
	_, err := t.put("refused", when)
	switch {
	case errors.Is(err, want):
		t.found(what, needs, nil, "")
	case err == nil:
		t.found(what, needs, nil, "it was stored")
	default:
		t.found(what, needs, err, "")
	}
}

// swapped writes over what is there now, under its ETag.
func (t *trial) swapped(first Object) {
	const what, needs = "a write with If-Match and the right ETag is stored", "a channel is moved by compare-and-swap"
	body, is, err := t.bucket.Get(t.ctx, t.key, Range{})
	if err == nil {
		err = body.Close()
	}
	switch {
	case err != nil:
		t.found(what, needs, err, "")
	case first.ETag == "" || is.ETag == "":
		t.found(what, needs, nil, "objects have no ETag that can be matched")
	default:
		_, err := t.put("0123456789", Condition{ETag: is.ETag})
		t.found(what, needs, err, "")
	}
}

func (t *trial) read() {
	body, _, err := t.bucket.Get(t.ctx, t.key, Range{Offset: 1, Length: 3})
	var got []byte
	if err == nil {
		got, err = io.ReadAll(io.LimitReader(body, int64(len(t.text))+1))
		err = errors.Join(err, body.Close())
	}
	instead := ""
	if want := t.text[1:4]; string(got) != want {
		instead = fmt.Sprintf("got %q, want %q", got, want)
	}
	t.found("a range is read", "downloads run in parallel and are resumed", err, instead)
	body, _, err = t.bucket.Get(t.ctx, t.key, Range{Offset: 1, Length: 3, ETag: NoObject})
	switch answer, odd := errors.AsType[*AnswerError](err); {
	case err == nil:
		err, instead = body.Close(), "it was read"
	case odd, errors.Is(err, ErrChanged):
		if err, instead = nil, ""; odd {
			instead = answer.Error()
		}
	}
	t.found("a read with If-Match and another ETag is refused", "", err, instead)
}

func (t *trial) listed() {
	var keys []string
	for object, err := range t.bucket.List(t.ctx, t.key) {
		if err != nil {
			t.found("the object is listed", "releases, signatures and deltas find what there is", err, "")
			return
		}
		keys = append(keys, object.Key)
	}
	instead := ""
	if !slices.Equal(keys, []string{t.key}) {
		instead = fmt.Sprintf("listed %.200q", keys)
	}
	t.found("the object is listed", "releases, signatures and deltas find what there is", nil, instead)
}

// deleted outlives the context, so that nothing is left.
func (t *trial) deleted() {
	err := t.bucket.Delete(context.WithoutCancel(t.ctx), t.key)
	if err != nil {
		err = fmt.Errorf("%s is left: %w", t.key, err)
	}
	t.found("the object is deleted", "", err, "")
}
