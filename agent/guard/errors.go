package guard

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

var (
	// ErrNotSafe is a group that is not safe to deploy to, and that waiting does not help.
	ErrNotSafe = errors.New("not safe to deploy")
	// ErrNotQuiet is a group that was not quiet in time.
	ErrNotQuiet = errors.New("not quiet in time")
	// ErrNotRestored is a group that could not be put back.
	ErrNotRestored = errors.New("could not be put back")
)

// GroupReasons is a group and the reasons for which it is not safe to deploy to.
type GroupReasons struct {
	Group   string   `json:"group"`
	Safe    bool     `json:"safe"`
	Reasons []Reason `json:"reasons"`
}

// ReasonsError is [ErrNotSafe] or [ErrNotQuiet], with the reasons.
type ReasonsError struct {
	Kind   error
	Groups []GroupReasons
}

// Unsafe is the error of what a check has found: [ErrNotSafe] where there is a reason
// that does not pass, nil where there is none at all.
func Unsafe(all []GroupReasons) *ReasonsError {
	var kind error
	for _, g := range all {
		for _, r := range g.Reasons {
			if !r.Code.Passes() {
				return &ReasonsError{ErrNotSafe, all}
			}
			kind = ErrNotQuiet
		}
	}
	if kind == nil {
		return nil
	}
	return &ReasonsError{kind, all}
}

func (e *ReasonsError) Unwrap() error { return e.Kind }

// Error names each group that is not safe, with its reasons.
func (e *ReasonsError) Error() string {
	var texts []string
	for _, g := range e.Groups {
		if g.Safe {
			continue
		}
		var reasons []string
		for _, r := range g.Reasons {
			reasons = append(reasons, r.Text)
		}
		texts = append(texts, fmt.Sprintf("group %s is %s: %s", g.Group, e.Kind, strings.Join(reasons, "; ")))
	}
	return strings.Join(texts, "; ")
}

// Advice is what to do about it.
func (e *ReasonsError) Advice() string {
	codes := strings.Join(e.codes(), ",")
	switch {
	case codes == "":
		return "find out what changes the group meanwhile: CloudTrail has its calls"
	case errors.Is(e.Kind, ErrNotQuiet):
		return fmt.Sprintf("wait until the group has come to rest, or longer: --wait; accept it with --allow %s (koboshi help deploys)", codes)
	}
	return fmt.Sprintf("waiting does not help: end what is in the way, or accept it with --allow %s (koboshi help deploys)", codes)
}

// codes are those of the reasons that can be accepted, each once.
func (e *ReasonsError) codes() (codes []string) {
	for _, g := range e.Groups {
		for _, r := range g.Reasons {
			if code := string(r.Code); code != "" && !slices.Contains(codes, code) {
				codes = append(codes, code)
			}
		}
	}
	return codes
}

// RestoreError is [ErrNotRestored]: a group that may have processes suspended by the
// guard.
type RestoreError struct {
	Group string
	Err   error
}

// Error names the group.
func (e *RestoreError) Error() string {
	return fmt.Sprintf("group %s %s: %v", e.Group, ErrNotRestored, e.Err)
}

// Is makes it [ErrNotRestored], and not what made it fail.
func (e *RestoreError) Is(target error) bool { return target == ErrNotRestored }

// Advice is what to do about it.
func (e *RestoreError) Advice() string {
	return fmt.Sprintf("koboshi guard repair --group %s puts it back; it waits for a minute after the lease", e.Group)
}
