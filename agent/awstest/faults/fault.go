// Package faults scripts faults between clients and a service, and logs the
// requests.
package faults

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Fault is one scripted misbehaviour. Selectors left empty match everything,
// effects left zero do nothing.
//
// Status, Body, Code, Hang and a Reset without ResetAfter replace the real
// answer, and the request has no effect unless Applied is set. All other effects
// change the real answer. Offsets and counts are bytes of the response body, so
// those of a ranged request start at its range.
//
// Held and Late bring a request to the service after its client has given up, with
// Repeated a second time; its conditions are evaluated then. With Applied the answer is
// replaced at once, so {Applied, Reset, Late} is a write whose client sees a reset and
// that takes effect later. [Script.Settle] waits for such requests.
type Fault struct {
	Service   string `json:"service,omitempty"`   // one of Services
	Operation string `json:"operation,omitempty"` // "GetObject", "PUT /latest/api/token"
	Path      string `json:"path,omitempty"`      // substring of the decoded URL path
	Instance  string `json:"instance,omitempty"`  // the instance that asks

	Skip    int `json:"skip,omitempty"`    // let this many matches through first
	Times   int `json:"times,omitempty"`   // then act this often; 0 is without end
	Percent int `json:"percent,omitempty"` // act on this share of matches, the same ones in every run; 0 is all
	// A token bucket lets Burst matches through, and PerSecond more each second;
	// the fault acts on the rest. This is how AWS throttles.
	Burst     int     `json:"burst,omitempty"`
	PerSecond float64 `json:"per_second,omitempty"`

	Applied    bool              `json:"applied,omitempty"`     // the request takes effect and only its answer is replaced
	Status     int               `json:"status,omitempty"`      // 200 when only Code or Body is given
	Code       string            `json:"code,omitempty"`        // error code, in the service's own format
	Message    string            `json:"message,omitempty"`     // error text with Code
	Body       string            `json:"body,omitempty"`        // verbatim, in place of the service's format
	RetryAfter string            `json:"retry_after,omitempty"` // value of a Retry-After header
	Header     map[string]string `json:"header,omitempty"`      // set on the answer; an empty value removes the header
	Hang       bool              `json:"hang,omitempty"`        // never answer, until the client goes or the fault is removed

	Held     bool     `json:"held,omitempty"`     // until the fault is removed; then the request takes effect, even if its client has gone
	Late     Duration `json:"late,omitempty"`     // so long or until the fault is removed; then it takes effect, even if its client has gone
	Repeated bool     `json:"repeated,omitempty"` // with Held or Late: it takes effect at once, and then once more

	DateSkew       Offset   `json:"date_skew,omitempty"`        // the answer's Date is so much ahead of the clock
	Delay          Duration `json:"delay,omitempty"`            // before the request is looked at
	Jitter         Duration `json:"jitter,omitempty"`           // up to this much more Delay, the same in every run
	BytesPerSecond int64    `json:"bytes_per_second,omitempty"` // of the body, for each response by itself
	Cut            int64    `json:"cut,omitempty"`              // close without an RST after this many bytes
	Reset          bool     `json:"reset,omitempty"`            // TCP RST
	ResetAfter     int64    `json:"reset_after,omitempty"`      // let at most this many bytes out before the RST; implies Reset
	Corrupt        *int64   `json:"corrupt,omitempty"`          // flip the lowest bit of the byte at this offset
	ExtraBytes     int64    `json:"extra_bytes,omitempty"`      // append this many bytes, and declare them
	IgnoreRange    bool     `json:"ignore_range,omitempty"`     // answer a ranged request with the whole object
}

// Services are those whose faults can be scripted, and whose calls are logged.
var Services = []string{"s3", "dynamodb", "imds", "autoscaling", "cloudformation", "elb", "sts", "ssm", "secretsmanager", "codedeploy", "kms"}

// Check refuses a fault that could never act as it is meant to.
func (f Fault) Check() error {
	switch {
	case f.Service != "" && !slices.Contains(Services, f.Service):
		return fmt.Errorf("service %q, want one of %s", f.Service, strings.Join(Services, ", "))
	case f.Status != 0 && (f.Status < 100 || f.Status > 999):
		return fmt.Errorf("status %d is not one of HTTP", f.Status)
	case f.Percent < 0 || f.Percent > 100:
		return fmt.Errorf("percent %d, want 0 to 100", f.Percent)
	case f.Skip < 0 || f.Times < 0:
		return errors.New("skip and times are not below 0")
	case f.Repeated && !f.later():
		return errors.New("repeated needs held or late")
	case f.later() && f.replaces() && !f.Applied:
		return errors.New("held and late need applied where the answer is replaced: the request has no effect otherwise")
	}
	return nil
}

// matches reports whether the selectors pick a call.
func (f *Fault) matches(c *Call) bool {
	return (f.Service == "" || f.Service == c.Service) &&
		(f.Operation == "" || f.Operation == c.Operation) &&
		(f.Instance == "" || f.Instance == c.Instance) &&
		strings.Contains(c.Path, f.Path)
}

// replaces reports whether the fault answers instead of the service.
func (f *Fault) replaces() bool {
	return f.Status != 0 || f.Code != "" || f.Body != "" || f.Hang || f.Reset && f.ResetAfter <= 0
}

// later reports whether the request takes effect later, or once more later.
func (f *Fault) later() bool { return f.Held || f.Late > 0 }

// postpones is later without requests that never take effect.
func (f *Fault) postpones() bool { return f.later() && (f.Applied || !f.replaces()) }

// Duration is a time.Duration that reads and writes as text like "1.5s".
type Duration time.Duration

// String formats d like a time.Duration.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText writes d in the form that UnmarshalText reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads the syntax of time.ParseDuration and refuses negative durations.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return err
	}
	if v < 0 {
		return fmt.Errorf("duration %s is negative", text)
	}
	*d = Duration(v)
	return nil
}

// Offset is a Duration that may be below 0.
type Offset time.Duration

// String formats d like a time.Duration.
func (d Offset) String() string { return time.Duration(d).String() }

// MarshalText writes d in the form that UnmarshalText reads.
func (d Offset) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads the syntax of time.ParseDuration.
func (d *Offset) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = Offset(v)
	return err
}
