package instance

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
)

// pass lets d of the bubble's time pass.
func pass(d time.Duration) { <-time.After(d) }

func TestCredentialsAreCachedAndRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		provider := s.memory().Credentials()
		for range 3 {
			creds, err := provider.Retrieve(t.Context())
			if err != nil || creds.SecretAccessKey != secretKey || creds.SessionToken != secretToken {
				t.Fatalf("Retrieve: %v, %d bytes of key", err, len(creds.SecretAccessKey))
			}
		}
		if n := s.count("GET " + rolePath + "web-role"); n != 1 {
			t.Errorf("asked %d times for three uses, want 1", n)
		}
		pass(58 * time.Minute) // into the window before expiry
		if _, err := provider.Retrieve(t.Context()); err != nil || s.count("GET "+rolePath+"web-role") != 2 {
			t.Errorf("near expiry: %v, asked %d times, want 2", err, s.count("GET "+rolePath+"web-role"))
		}
	})
}

// Just after a launch the role's credentials may be missing.
func TestCredentialsThatComeLate(t *testing.T) {
	notYet := map[string]func(r *http.Request) (int, string){
		"no role":        func(*http.Request) (int, string) { return 404, "" },
		"no credentials": func(r *http.Request) (int, string) { return map[bool]int{true: 404}[r.URL.Path != rolePath], "" },
		"code is not success": func(r *http.Request) (int, string) {
			if r.URL.Path == rolePath {
				return 0, ""
			}
			return 200, roleDocument("Failed", time.Now())
		},
	}
	for name, answer := range notYet {
		for _, late := range []time.Duration{2 * time.Second, 25 * time.Second, time.Hour} {
			synctest.Test(t, func(t *testing.T) {
				s := newService()
				s.answer = func(at time.Duration, r *http.Request) (int, string) {
					if r.Method == put || at >= late {
						return 0, ""
					}
					return answer(r)
				}
				creds, err := s.memory().Credentials().Retrieve(t.Context())
				took := time.Since(s.begun)
				if late < defaultPatience && (err != nil || !creds.HasKeys() || took > late+2*time.Second) {
					t.Errorf("%s for %v: %v after %v", name, late, err, took)
				}
				if late > defaultPatience && (!errors.Is(err, ErrNoCredentials) || took != defaultPatience || creds.HasKeys()) {
					t.Errorf("%s for ever: %v after %v, want ErrNoCredentials after the patience", name, err, took)
				}
				noSecret(t, err)
			})
		}
	}
}

func TestCredentialsThatNeverCameAreTheCauseToTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		delete(s.pages, rolePath)
		s.mute = func(*http.Request) bool { return time.Since(s.begun) > defaultPatience-tryTimeout }
		_, err := s.memory().Credentials().Retrieve(t.Context())
		if !errors.Is(err, ErrNoCredentials) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Retrieve = %v, want ErrNoCredentials", err)
		}
	})
}

func TestCredentialsThatAreNone(t *testing.T) {
	for name, document := range map[string]string{
		"garbage":    "<html>" + secretKey,
		"wrong type": `{"Code":"Success","AccessKeyId":"AKID","SecretAccessKey":{"x":"` + secretKey + `"}}`,
		"wrong time": `{"Code":"Success","AccessKeyId":"AKID","SecretAccessKey":"x","Expiration":"` + secretKey + `"}`,
		"no keys":    `{"Code":"Success","AccessKeyId":"","SecretAccessKey":"` + secretKey + `"}`,
		"huge":       strings.Repeat(secretKey, maxAnswer),
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newService()
			s.pages[rolePath+"web-role"] = document
			_, err := s.memory().Credentials().Retrieve(t.Context())
			if !errors.Is(err, ErrMalformed) || time.Since(s.begun) != 0 {
				t.Errorf("%s: %v after %v, want ErrMalformed at once", name, err, time.Since(s.begun))
			}
			noSecret(t, err)
		})
	}
}

func TestCredentialsOfAHostileCode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		s.pages[rolePath+"web-role"] = `{"Code":"\u001b[2J` + strings.Repeat("x", 9000) + `","Message":"` + secretKey + `"}`
		_, err := s.memory().Credentials().Retrieve(t.Context())
		if !errors.Is(err, ErrNoCredentials) || len(err.Error()) > 400 || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("Retrieve = %.500v", err)
		}
		noSecret(t, err)
	})
}

func TestCredentialsOutliveTheService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		provider := s.memory().Credentials()
		if _, err := provider.Retrieve(t.Context()); err != nil {
			t.Fatal(err)
		}
		pass(59 * time.Minute)
		s.down = func(time.Duration) error { return refused() }
		if creds, err := provider.Retrieve(t.Context()); err != nil || creds.SecretAccessKey != secretKey {
			t.Errorf("with the service away: %v, want the old credentials", err)
		}
	})
}

func TestCredentialsFollowTheCallersContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		s.down = func(time.Duration) error { return refused() }
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := s.memory().Credentials().Retrieve(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(s.begun) != time.Second {
			t.Errorf("Retrieve = %v after %v, want DeadlineExceeded after 1s", err, time.Since(s.begun))
		}
		pass(defaultPatience) // the SDK's cache asks on in the background, but no longer than this
	})
}

// The doc comment shows how a caller recognises the SDK's provider for the role.
func TestTheSDKsProviderIsRecognised(t *testing.T) {
	sdk := aws.NewCredentialsCache(ec2rolecreds.New())
	if !aws.IsCredentialsProvider(sdk, (*ec2rolecreds.Provider)(nil)) {
		t.Error("the SDK's own provider is not recognised")
	}
}
