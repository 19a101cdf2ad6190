package instance

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// on is an answer for one method; the other works.
func on(method string, status int, body string) func(time.Duration, *http.Request) (int, string) {
	return func(_ time.Duration, r *http.Request) (int, string) {
		if r.Method == method {
			return status, body
		}
		return 0, ""
	}
}

const (
	put = http.MethodPut
	get = http.MethodGet
)

// A lasting failure has its kind; only one that may pass is tried again.
func TestFailuresThatLast(t *testing.T) {
	huge := document + strings.Repeat(" ", maxAnswer) // good but for its size
	tests := []struct {
		name  string
		set   func(*service)
		want  error
		final bool
	}{
		{"refused", func(s *service) { s.down = func(time.Duration) error { return refused() } }, ErrUnreachable, false},
		{"unroutable", func(s *service) { s.stuck = func(time.Duration) bool { return true } }, ErrUnreachable, false},
		{"silent for the token", func(s *service) { s.mute = func(r *http.Request) bool { return r.Method == put } }, ErrHopLimit, false},
		{"silent for the rest", func(s *service) { s.mute = func(r *http.Request) bool { return r.Method == get } }, ErrUnreachable, false},
		{"PUT 403", func(s *service) { s.answer = on(put, 403, secretToken) }, ErrDisabled, true},
		{"GET 403", func(s *service) { s.answer = on(get, 403, secretToken) }, ErrDisabled, true},
		{"PUT 400", func(s *service) { s.answer = on(put, 400, secretToken) }, ErrMalformed, true},
		{"PUT 404", func(s *service) { s.answer = on(put, 404, secretToken) }, ErrMalformed, true},
		{"PUT 405", func(s *service) { s.answer = on(put, 405, secretToken) }, ErrMalformed, true},
		{"PUT 503", func(s *service) { s.answer = on(put, 503, secretToken) }, ErrUnreachable, false},
		{"PUT 429", func(s *service) { s.answer = on(put, 429, secretToken) }, ErrUnreachable, false},
		{"GET 500", func(s *service) { s.answer = on(get, 500, secretToken) }, ErrUnreachable, false},
		{"GET 429", func(s *service) { s.answer = on(get, 429, secretToken) }, ErrUnreachable, false},
		{"GET 404", func(s *service) { s.answer = on(get, 404, secretToken) }, ErrMalformed, true},
		{"GET 302", func(s *service) { s.answer = on(get, 302, secretToken) }, ErrMalformed, true},
		{"PUT 307", func(s *service) { s.answer = on(put, 307, secretToken) }, ErrMalformed, true},
		{"GET huge", func(s *service) { s.answer = on(get, 200, huge) }, ErrMalformed, true},
		{"PUT huge", func(s *service) { s.answer = on(put, 200, huge) }, ErrMalformed, true},
		{"token without a lifetime", func(s *service) { s.answer, s.lifetime = on(put, 200, secretToken), "" }, ErrMalformed, true},
		{"token empty", func(s *service) { s.answer = on(put, 200, "") }, ErrMalformed, true},
		{"token long", func(s *service) { s.answer = on(put, 200, strings.Repeat("x", maxToken+1)) }, ErrMalformed, true},
		{"token is a page", func(s *service) { s.answer = on(put, 200, "<html>\r\n"+secretToken) }, ErrMalformed, true},
		{"identity is a page", func(s *service) { s.answer = on(get, 200, "<html>"+secretToken) }, ErrMalformed, true},
		{"token never accepted", func(s *service) { s.answer = on(get, 401, secretToken) }, ErrMalformed, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newService()
				tt.set(s)
				id, err := s.memory().Identity(t.Context())
				if !errors.Is(err, tt.want) || id != (Identity{}) {
					t.Errorf("Identity = %+v, %v, want %v", id, err, tt.want)
				}
				if errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("the caller's context did not end, but the error says so: %v", err)
				}
				noSecret(t, err)
				took := time.Since(s.begun)
				if tt.final && took != 0 || took > defaultPatience {
					t.Errorf("gave up after %v", took)
				}
				if n := s.count("GET "+identityPath) + s.count("PUT "+tokenPath); tt.final && n > 2 {
					t.Errorf("asked %d times, want no repetition", n)
				}
			})
		})
	}
}

func TestFailuresThatPass(t *testing.T) {
	early := func(status int, method string) func(*service) {
		return func(s *service) {
			s.answer = func(at time.Duration, r *http.Request) (int, string) {
				if at < 10*time.Second && r.Method == method {
					return status, ""
				}
				return 0, ""
			}
		}
	}
	tests := map[string]func(*service){
		"link late": func(s *service) {
			s.down = func(at time.Duration) error {
				if at < 10*time.Second {
					return refused()
				}
				return nil
			}
		},
		"silent": func(s *service) {
			s.mute = func(*http.Request) bool { return time.Since(s.begun) < 10*time.Second }
		},
		"PUT 503": early(503, put), "PUT 429": early(429, put), "GET 503": early(503, get), "GET 429": early(429, get),
	}
	for name, set := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newService()
				set(s)
				id, err := s.memory().Identity(t.Context())
				if err != nil || id.ID != "i-0123456789abcdef0" {
					t.Errorf("Identity = %+v, %v", id, err)
				}
				took := time.Since(s.begun)
				if took < 10*time.Second || took > 10*time.Second+2*tryTimeout+2*time.Second {
					t.Errorf("took %v, want it soon after 10s", took)
				}
				if n := len(s.asked); n > 20 {
					t.Errorf("%d requests in 10s, want pauses between them", n)
				}
			})
		})
	}
}

func TestTheCallersContextRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		s.down = func(time.Duration) error { return refused() }
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		m := s.memory()
		for range 2 { // the second time it has ended before
			_, err := m.Identity(ctx)
			if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrUnreachable) {
				t.Errorf("Identity = %v, want DeadlineExceeded and ErrUnreachable", err)
			}
		}
		if took := time.Since(s.begun); took != 3*time.Second {
			t.Errorf("took %v, want 3s", took)
		}
	})
}

func TestGivenUpDuringTheFirstTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		ctx, cancel := context.WithCancel(t.Context())
		s.mute = func(*http.Request) bool { cancel(); return true }
		if _, err := s.memory().Identity(ctx); !errors.Is(err, ErrUnreachable) || !errors.Is(err, context.Canceled) {
			t.Errorf("Identity = %v, want ErrUnreachable and Canceled", err)
		}
	})
}

// A try that the context cut short is no failure of the service.
func TestTheLastWholeTryIsTheCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		ctx, cancel := context.WithCancel(t.Context())
		s.mute = func(r *http.Request) bool { return r.Method == put }
		s.stuck = func(at time.Duration) bool {
			if at == 0 {
				return false
			}
			cancel()
			return true
		}
		if _, err := s.memory().Identity(ctx); !errors.Is(err, ErrHopLimit) || !errors.Is(err, context.Canceled) {
			t.Errorf("Identity = %v, want ErrHopLimit and Canceled", err)
		}
	})
}

func TestATokenThatExpiresIsReplacedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		m := s.memory()
		for range 3 {
			if state, err := m.TargetState(t.Context()); state != "InService" || err != nil {
				t.Fatalf("TargetState = %q, %v", state, err)
			}
		}
		if s.tokens != 1 {
			t.Errorf("%d tokens for three questions, want 1", s.tokens)
		}
		s.spent = 1 // the service forgot it
		if state, err := m.TargetState(t.Context()); state != "InService" || err != nil {
			t.Errorf("after the token expired: %q, %v", state, err)
		}
		if s.tokens != 2 {
			t.Errorf("%d tokens, want one more", s.tokens)
		}
		s.spent, s.v1 = 99, true
		if _, err := m.TargetState(t.Context()); !errors.Is(err, ErrMalformed) {
			t.Errorf("a token that is never accepted: %v, want ErrMalformed", err)
		}
		if s.tokens != 3 {
			t.Errorf("%d tokens, want one more and no loop", s.tokens)
		}
	})
}

func TestNeverVersion1(t *testing.T) {
	for _, status := range []int{400, 403, 404, 405, 503} {
		synctest.Test(t, func(t *testing.T) {
			s := newService()
			s.v1 = true
			s.answer = on(put, status, "")
			m := s.memory()
			_, identity := m.Identity(t.Context())
			_, state := m.TargetState(t.Context())
			_, creds := m.Credentials().Retrieve(t.Context())
			if identity == nil || state == nil || creds == nil {
				t.Errorf("PUT %d: answered without a token: %v, %v, %v", status, identity, state, creds)
			}
			if puts := s.count("PUT " + tokenPath); puts != len(s.asked) {
				t.Errorf("PUT %d: asked %v, want nothing but tokens", status, s.asked)
			}
		})
	}
}

func TestSwitchedOffByTheEnvironment(t *testing.T) {
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	s := newService()
	if _, err := s.memory().Identity(t.Context()); !errors.Is(err, ErrDisabled) || len(s.asked) != 0 {
		t.Errorf("Identity = %v, asked %v, want ErrDisabled and no request", err, s.asked)
	}
}

// The variable of the AWS CLI limits every read.
func TestAttemptsFromTheEnvironment(t *testing.T) {
	t.Setenv("AWS_METADATA_SERVICE_NUM_ATTEMPTS", "3")
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		s.answer = func(_ time.Duration, r *http.Request) (int, string) {
			switch {
			case r.Method == put:
				return 0, ""
			case strings.HasPrefix(r.URL.Path, rolePath):
				return http.StatusNotFound, ""
			}
			return http.StatusServiceUnavailable, ""
		}
		m := s.memory()
		if _, err := m.Identity(t.Context()); !errors.Is(err, ErrUnreachable) || s.count("GET "+identityPath) != 3 {
			t.Errorf("Identity: %v after %d tries, want 3", err, s.count("GET "+identityPath))
		}
		if _, err := m.Credentials().Retrieve(t.Context()); !errors.Is(err, ErrNoCredentials) || s.count("GET "+rolePath) != 3 {
			t.Errorf("Credentials: %v after %d tries, want 3", err, s.count("GET "+rolePath))
		}
	})
	for value, want := range map[string]int{"": 0, "0": 0, "-1": 0, "many": 0, "5": 5} {
		t.Setenv("AWS_METADATA_SERVICE_NUM_ATTEMPTS", value)
		if got := attempts(); got != want {
			t.Errorf("%q is %d attempts, want %d", value, got, want)
		}
	}
}
