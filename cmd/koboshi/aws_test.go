package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
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
