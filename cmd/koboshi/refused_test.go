package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"koboshi/agent/lifecycle"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/s3"
)

// scripted is an AWS with scripted answers.
type scripted struct {
	mu     sync.Mutex
	asked  int
	answer func(n int, r *http.Request) (status int, body string) // n from 1
}

// Do implements the SDK's HTTPClient.
func (s *scripted) Do(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.asked++
	n := s.asked
	s.mu.Unlock()
	status, body := s.answer(n, r)
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Header: http.Header{"Etag": {`"1"`}, "Content-Length": {strconv.Itoa(len(body))}}, Request: r,
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}, nil
}

const allowed = "<ok/>"

// deny is S3's and Auto Scaling's answer at once: each finds its part.
func deny(code string) (int, string) {
	return http.StatusForbidden, fmt.Sprintf("<Error><Code>%[1]s</Code><Message>no</Message></Error>", code)
}

// roles returns new credentials at each call.
type roles struct {
	mu sync.Mutex
	n  int
}

func (r *roles) Retrieve(context.Context) (aws.Credentials, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
	return aws.Credentials{AccessKeyID: fmt.Sprint("key", r.n), SecretAccessKey: "secret"}, nil
}

func refusing(s *scripted, persist bool) (aws.Config, *roles) {
	creds := &roles{}
	cfg := aws.Config{Region: "us-east-1", HTTPClient: s, Credentials: typed(aws.NewCredentialsCache(creds))}
	cfg.Retryer = func() aws.Retryer { return newRetryer("seed", 0, aws.RetryModeStandard) }
	cfg, p := newPersistent(cfg, "seed")
	p.persists.Store(persist)
	return cfg, creds
}

func read(ctx context.Context, cfg aws.Config) error {
	body, _, err := s3.New(cfg, "releases", "apps").Get(ctx, "x", bucket.Range{})
	if err != nil {
		return err
	}
	return body.Close()
}

func TestRefusedCredentials(t *testing.T) {
	for _, tt := range []struct {
		name     string
		persist  bool
		code     string
		lasts    time.Duration // that AWS refuses
		limit    time.Duration
		want     error
		from, to time.Duration // that it takes
	}{
		{"at a launch, for half a minute", true, "AccessDenied", 30 * time.Second, 15 * time.Minute, nil, 30 * time.Second, 40 * time.Second},
		{"at a launch, for ten minutes", true, "InvalidAccessKeyId", 10 * time.Minute, 15 * time.Minute, nil, 10 * time.Minute, 10*time.Minute + 10*time.Second},
		{"at a launch, for good", true, "AccessDenied", time.Hour, 45 * time.Second, bucket.ErrDenied, 30 * time.Second, 45*time.Second - 1},
		{"at a launch, expired for good", true, "ExpiredToken", time.Hour, 45 * time.Second, bucket.ErrCredentials, 30 * time.Second, 45*time.Second - 1},
		{"at a launch, a wrong secret", true, "SignatureDoesNotMatch", time.Hour, 45 * time.Second, bucket.ErrCredentials, 0, 0},
		{"live, once", false, "ExpiredToken", 100 * time.Millisecond, time.Minute, nil, 100 * time.Millisecond, time.Second},
		{"live, for good", false, "AccessDenied", time.Hour, time.Minute, bucket.ErrDenied, time.Second, 2 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				seen := map[string]bool{}
				s := &scripted{answer: func(_ int, r *http.Request) (int, string) {
					seen[r.Header.Get("Authorization")] = true
					if time.Since(begun) < tt.lasts {
						return deny(tt.code)
					}
					return http.StatusOK, allowed
				}}
				cfg, creds := refusing(s, tt.persist)
				ctx, cancel := context.WithTimeout(t.Context(), tt.limit)
				defer cancel()
				err := read(ctx, cfg)
				if took := time.Since(begun); !errors.Is(err, tt.want) || took < tt.from || took > tt.to {
					t.Errorf("%v after %s, want %v", err, took, tt.want)
				}
				if s.asked > 1 && (creds.n < 2 || len(seen) < 2) {
					t.Errorf("%d requests were made with %d credentials", s.asked, creds.n)
				}
				if s.asked > 100 {
					t.Errorf("%d requests", s.asked)
				}
			})
		})
	}
}

// A request that fails in another way after many refusals still has all its
// attempts, and no more.
func TestRefusedAndThenBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := 0
		begun := time.Now()
		s := &scripted{answer: func(int, *http.Request) (int, string) {
			if time.Since(begun) < 3*time.Minute {
				return deny("AccessDenied")
			}
			busy++
			return http.StatusServiceUnavailable, "<Error><Code>SlowDown</Code></Error>"
		}}
		cfg, _ := refusing(s, true)
		if err := read(t.Context(), cfg); err == nil || busy != maxAttempts {
			t.Errorf("%v after %d attempts, want %d", err, busy, maxAttempts)
		}
	})
}

// All requests of a download that is refused in the middle wait together, and use
// nothing of the budget for other retries.
func TestManyAreRefusedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		s := &scripted{answer: func(int, *http.Request) (int, string) {
			if time.Since(begun) < 5*time.Minute {
				return deny("ExpiredToken")
			}
			return http.StatusOK, allowed
		}}
		cfg, creds := refusing(s, true)
		var all sync.WaitGroup
		for range 24 {
			all.Go(func() {
				if err := read(t.Context(), cfg); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if took := time.Since(begun); took > 5*time.Minute+mostRefusal || creds.n > int(took/forgetEvery) {
			t.Errorf("%s, with %d credentials", took, creds.n)
		}
	})
}

// The pauses of Auto Scaling's own retryer stay.
func TestARefusedCompletion(t *testing.T) {
	for code, name := range map[string]string{"AccessDenied": "not allowed yet", "InvalidClientTokenId": "not known yet", "ExpiredToken": "expired"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				s := &scripted{answer: func(int, *http.Request) (int, string) {
					if time.Since(begun) < 30*time.Second {
						return http.StatusForbidden, "<ErrorResponse><Error><Type>Sender</Type><Code>" + code + "</Code><Message>no</Message></Error></ErrorResponse>"
					}
					return http.StatusOK, "<CompleteLifecycleActionResponse><CompleteLifecycleActionResult/></CompleteLifecycleActionResponse>"
				}}
				cfg, creds := refusing(s, true)
				action := lifecycle.Action{Group: "web", Hook: "launching", Instance: "i-0123456789abcdef0"}
				got, err := lifecycle.New(cfg).Complete(t.Context(), action, lifecycle.Continue, nil)
				if err != nil || got.End != lifecycle.Completed || s.asked > 6 || creds.n < 2 {
					t.Errorf("%+v, %v after %s and %d requests with %d credentials", got, err, time.Since(begun), s.asked, creds.n)
				}
			})
		})
	}
}
