package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws/retry"

	"koboshi/agent/lifecycle"
)

func TestRetriesFromTheEnvironment(t *testing.T) {
	profile := filepath.Join(t.TempDir(), "config")
	must(t, os.WriteFile(profile, []byte("[default]\nmax_attempts = 3\nretry_mode = adaptive\n"), 0o600))
	for _, test := range []struct {
		name, attempts, mode, file string
		want                       int
		adaptive                   bool
	}{
		{"neither", "", "", "/nonexistent", maxAttempts, false},
		{"variables", "2", "standard", "/nonexistent", 2, false},
		{"adaptive", "", "adaptive", "/nonexistent", maxAttempts, true},
		{"profile", "", "", profile, 3, true},
		{"variables before profile", "2", "standard", profile, 2, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("AWS_MAX_ATTEMPTS", test.attempts)
			t.Setenv("AWS_RETRY_MODE", test.mode)
			t.Setenv("AWS_CONFIG_FILE", test.file)
			t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
			cfg, err := loadAWS(t.Context(), "seed")
			must(t, err)
			retryer := cfg.Retryer()
			if _, adaptive := retryer.(*retry.AdaptiveMode); adaptive != test.adaptive || retryer.MaxAttempts() != test.want {
				t.Errorf("%T with %d attempts, want adaptive: %v, %d", retryer, retryer.MaxAttempts(), test.adaptive, test.want)
			}
			if cfg.Retryer() != retryer {
				t.Error("each client has a budget of its own")
			}
			if limited := retry.AddWithMaxAttempts(retryer, 1); cfg.RetryMaxAttempts != 0 || limited.MaxAttempts() != 1 {
				t.Error("callers cannot limit the attempts further")
			}
		})
	}
	t.Setenv("AWS_MAX_ATTEMPTS", "many")
	if _, err := loadAWS(t.Context(), "seed"); err == nil {
		t.Error("a number of attempts that is none was taken")
	}
}

// TestNoClientFollowsARedirect: every client of the configuration, also that of
// the credentials, sends a redirected request once and to no other host.
func TestNoClientFollowsARedirect(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	defer elsewhere.Close()
	asked := map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked[r.URL.Path]++
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
	}))
	defer server.Close()
	token := filepath.Join(t.TempDir(), "token")
	must(t, os.WriteFile(token, []byte("a.b.c"), 0o600))
	t.Setenv("AWS_CONFIG_FILE", "/nonexistent")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
	t.Setenv("AWS_REGION", "us-east-1")
	t.Setenv("AWS_ENDPOINT_URL", server.URL)
	t.Setenv("AWS_ENDPOINT_URL_STS", server.URL)
	for name, set := range map[string]map[string]string{
		"a role by a web identity":    {"AWS_WEB_IDENTITY_TOKEN_FILE": token, "AWS_ROLE_ARN": "arn:aws:iam::111122223333:role/ci"},
		"a container's credentials":   {"AWS_CONTAINER_CREDENTIALS_FULL_URI": server.URL + "/credentials"},
		"keys, and then Auto Scaling": {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"},
	} {
		t.Run(name, func(t *testing.T) {
			for variable, value := range set {
				t.Setenv(variable, value)
			}
			clear(asked)
			cfg, err := loadAWS(t.Context(), "seed")
			must(t, err)
			_, _, err = lifecycle.New(cfg).Group(t.Context(), "i-1")
			if err == nil || len(asked) == 0 {
				t.Errorf("asked %v and got %v, want an error", asked, err)
			}
			for path, n := range asked {
				if n != 1 {
					t.Errorf("%s was asked %d times, want once", path, n)
				}
			}
		})
	}
}
