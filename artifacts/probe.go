package artifacts

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// CheckProbeURL accepts the address of an HTTP health check: http:// or https://,
// a host, and a port that exists.
func CheckProbeURL(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("want http:// or https:// and a host") // the cause would quote a password
	}
	if strings.HasSuffix(u.Host, ":") || u.Port() != "" {
		return checkPort(u.Port())
	}
	return nil
}

// CheckProbeTCP accepts host:port.
func CheckProbeTCP(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return errors.New("want host:port")
	}
	return checkPort(port)
}

func checkPort(port string) error {
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("port %q, want 1 to 65535", clip(port))
	}
	return nil
}

// Statuses are the HTTP statuses that count as healthy. Empty is the default.
type Statuses string

// DefaultStatuses are those of a success.
const DefaultStatuses Statuses = "200-299"

const (
	minStatus   = 200 // what comes before is no answer yet
	maxStatus   = 599
	maxStatuses = 100 // bytes
)

// UnmarshalText reads "200-299,301,404": three-digit numbers and ranges of them,
// with commas and nothing else between.
func (s *Statuses) UnmarshalText(text []byte) error {
	if len(text) > maxStatuses {
		return fmt.Errorf("%q…: more than %d bytes", text[:20], maxStatuses)
	}
	for part := range strings.SplitSeq(string(text), ",") {
		if from, to := statusRange(part); from < minStatus || to > maxStatus || from > to {
			return fmt.Errorf("%q, want statuses from %d to %d such as 200-299,301,404", text, minStatus, maxStatus)
		}
	}
	*s = Statuses(text)
	return nil
}

// statusRange is 0, 0 for what is neither a status nor a range.
func statusRange(part string) (from, to int) {
	first, last, isRange := strings.Cut(part, "-")
	if !isRange {
		last = first
	}
	if len(first) != 3 || len(last) != 3 || strings.Trim(first+last, "0123456789") != "" {
		return 0, 0
	}
	from, _ = strconv.Atoi(first) // digits
	to, _ = strconv.Atoi(last)
	return from, to
}

// MarshalText is the inverse of UnmarshalText.
func (s Statuses) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func (s Statuses) String() string {
	return string(cmp.Or(s, DefaultStatuses))
}

// Has reports whether an answer with this status is healthy.
func (s Statuses) Has(status int) bool {
	for part := range strings.SplitSeq(s.String(), ",") {
		if from, to := statusRange(part); from <= status && status <= to {
			return true
		}
	}
	return false
}
