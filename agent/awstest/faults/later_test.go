package faults

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"

	"koboshi/agent/awstest/s3"
)

// swap replaces b/k where its ETag is still the given one.
func swap(ctx context.Context, client *sdk.Client, etag, body string) error {
	_, err := client.PutObject(ctx, &sdk.PutObjectInput{Bucket: aws.String("b"), Key: aws.String("k"), IfMatch: &etag, Body: strings.NewReader(body)})
	return err
}

func settle(t *testing.T, script *Script) {
	t.Helper()
	if err := script.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func wantObject(t *testing.T, fake *s3.Store, want string) {
	t.Helper()
	if got, _ := fake.Object("b", "k"); string(got) != want {
		t.Errorf("the object is %q, want %q", got, want)
	}
}

// TestHeldOutlivesItsClient has a write whose client gives up, and that takes effect when
// the test lets it.
func TestHeldOutlivesItsClient(t *testing.T) {
	fake, script, _, server := start(t)
	etag := fake.Put("b", "k", []byte("1"))
	id := script.Add(Fault{Operation: "PutObject", Held: true})
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() { gone <- swap(ctx, sdkClient(server), etag, "2") }()
	if err := script.Holds(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("the client: %v", err)
	}
	wantObject(t, fake, "1")
	if err := script.Settle(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("settled while a request is held: %v", err)
	}
	script.Remove(id)
	settle(t, script)
	wantObject(t, fake, "2")
}

// TestHeldAnswersItsClient is about a client that waits.
func TestHeldAnswersItsClient(t *testing.T) {
	fake, script, _, server := start(t)
	etag := fake.Put("b", "k", []byte("1"))
	script.Add(Fault{Operation: "PutObject", Held: true})
	answered := make(chan error)
	go func() { answered <- swap(t.Context(), sdkClient(server), etag, "2") }()
	if err := script.Holds(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	fake.Put("b", "k", []byte("3")) // the condition is evaluated when it takes effect
	script.Clear()
	wantCode(t, <-answered, "PreconditionFailed")
	wantObject(t, fake, "3")
}

// TestLostAndLate has a client that sees a reset, and the write that comes after it.
func TestLostAndLate(t *testing.T) {
	fake, script, _, server := start(t)
	etag := fake.Put("b", "k", []byte("1"))
	id := script.Add(Fault{Operation: "PutObject", Applied: true, Reset: true, Held: true})
	if err := swap(t.Context(), sdkClient(server), etag, "2"); err == nil {
		t.Error("the client was answered")
	}
	wantObject(t, fake, "1")
	script.Remove(id)
	settle(t, script)
	wantObject(t, fake, "2")
}

// TestRepeated has writes that take effect twice, where their condition holds again.
func TestRepeated(t *testing.T) {
	fake, script, _, server := start(t)
	for _, c := range []struct{ name, between, after string }{
		{"equal bytes came back", "1", "2"},
		{"others did", "3", "3"},
	} {
		etag := fake.Put("b", "k", []byte("1"))
		id := script.Add(Fault{Operation: "PutObject", Held: true, Repeated: true})
		wantCode(t, swap(t.Context(), sdkClient(server), etag, "2"), "")
		wantObject(t, fake, "2")
		fake.Put("b", "k", []byte(c.between))
		script.Remove(id)
		settle(t, script)
		t.Log(c.name)
		wantObject(t, fake, c.after)
	}
	// With a reset as well: applied, lost, and applied again.
	etag := fake.Put("b", "k", []byte("1"))
	script.Add(Fault{Operation: "PutObject", Held: true, Repeated: true, Applied: true, Reset: true})
	if err := swap(t.Context(), sdkClient(server), etag, "2"); err == nil {
		t.Error("the client was answered")
	}
	wantObject(t, fake, "2")
	fake.Put("b", "k", []byte("1"))
	script.Clear()
	settle(t, script)
	wantObject(t, fake, "2")
}

// TestLateByTheClock counts what reaches the service, and when.
func TestLateByTheClock(t *testing.T) {
	for _, c := range []struct {
		name     string
		fault    Fault
		answered time.Duration // -1: the connection broke at once
		reached  []time.Duration
	}{
		{"late", Fault{Late: Duration(time.Minute)}, time.Minute, []time.Duration{time.Minute}},
		{"late after a delay", Fault{Late: Duration(time.Minute), Delay: Duration(time.Second)}, 61 * time.Second, []time.Duration{61 * time.Second}},
		{"repeated", Fault{Late: Duration(time.Minute), Repeated: true}, 0, []time.Duration{0, time.Minute}},
		{"lost and late", Fault{Late: Duration(time.Minute), Applied: true, Reset: true}, -1, []time.Duration{time.Minute}},
		{"answered and late", Fault{Late: Duration(time.Minute), Applied: true, Status: 503}, 0, []time.Duration{time.Minute}},
		{"lost", Fault{Reset: true}, -1, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			arrivals := make(chan time.Duration, 9)
			script := New(time.Now, new(Calls))
			script.Add(c.fault)
			handler := script.Wrap("s3", s3.Describe, s3.WriteError, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				arrivals <- time.Since(began)
			}))
			ctx, gone := context.WithTimeout(t.Context(), 2*time.Second) // the client gives up
			defer gone()
			broken := aborts(func() {
				handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodPut, "/b/k", strings.NewReader("x")))
			})
			answered := time.Since(began)
			if broken != (c.answered < 0) || !broken && answered != c.answered {
				t.Errorf("%s: answered after %v, broken off %v, want %v", c.name, answered, broken, c.answered)
			}
			settle(t, script)
			close(arrivals)
			var reached []time.Duration
			for at := range arrivals {
				reached = append(reached, at)
			}
			if !slices.Equal(reached, c.reached) {
				t.Errorf("%s: reached the service at %v, want %v", c.name, reached, c.reached)
			}
		})
	}
}

func TestLaterOnlyWhereItTakesEffect(t *testing.T) {
	for _, f := range []Fault{{Repeated: true}, {Held: true, Reset: true}, {Late: 1, Status: 503}, {Held: true, Repeated: true, Hang: true}} {
		if f.Check() == nil {
			t.Errorf("%+v was taken", f)
		}
	}
	for _, f := range []Fault{{Held: true}, {Late: 1, Applied: true, Status: 503}, {Held: true, Repeated: true, Applied: true, Hang: true}} {
		if err := f.Check(); err != nil {
			t.Errorf("%+v: %v", f, err)
		}
	}
}

// TestDates has the Date of answers by the script's clock, and off it.
func TestDates(t *testing.T) {
	at := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	date := func(script *Script) []string {
		w := httptest.NewRecorder()
		script.Wrap("s3", s3.Describe, s3.WriteError, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })).
			ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/b/k", nil))
		return w.Result().Header["Date"]
	}
	for _, c := range []struct {
		name   string
		faults []Fault
		want   string // "" is none
	}{
		{"right", nil, "Sat, 28 Nov 2026 12:00:00 GMT"},
		{"ahead", []Fault{{DateSkew: Offset(time.Hour)}}, "Sat, 28 Nov 2026 13:00:00 GMT"},
		{"behind, on an error", []Fault{{DateSkew: Offset(-time.Hour)}, {Status: 503}}, "Sat, 28 Nov 2026 11:00:00 GMT"},
		{"on an error", []Fault{{Status: 503}}, "Sat, 28 Nov 2026 12:00:00 GMT"},
		{"replaced", []Fault{{Header: map[string]string{"Date": "yesterday"}}}, "yesterday"},
		{"none", []Fault{{Header: map[string]string{"date": ""}}}, ""},
	} {
		script := New(func() time.Time { return at }, new(Calls))
		for _, f := range c.faults {
			script.Add(f)
		}
		if got := strings.Join(date(script), ""); got != c.want {
			t.Errorf("%s: Date is %q, want %q", c.name, got, c.want)
		}
	}
}
