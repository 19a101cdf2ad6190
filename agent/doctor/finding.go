package doctor

import (
	"errors"
	"fmt"
	"io/fs"

	"koboshi/agent/instance"
	"koboshi/agent/report"
)

// Level is how severe a finding is.
type Level string

// The levels of a finding.
const (
	OK   Level = "ok"
	Warn Level = "warn" // will be a problem later, or could not be checked
	Fail Level = "fail" // the next boot or sync fails with it
)

// Finding is a result of one check.
type Finding struct {
	Check string `json:"check"` // its stable name, such as "clock"
	Level Level  `json:"level"`
	Text  string `json:"text"`          // one line
	Hint  string `json:"hint,omitzero"` // what can be done, never of an ok

	Config string `json:"config,omitzero"` // where several apps are examined: the file of this one
}

// Failed reports whether any finding is a failure.
func Failed(findings []Finding) bool {
	for _, f := range findings {
		if f.Level == Fail {
			return true
		}
	}
	return false
}

// maxText bounds a finding's text, in bytes. It may quote what is not trusted.
const maxText = 400

func fine(format string, args ...any) []Finding {
	return []Finding{{Level: OK, Text: fmt.Sprintf(format, args...)}}
}

func warning(hint, format string, args ...any) []Finding {
	return []Finding{{Level: Warn, Text: fmt.Sprintf(format, args...), Hint: hint}}
}

func failure(hint, format string, args ...any) []Finding {
	return []Finding{{Level: Fail, Text: fmt.Sprintf(format, args...), Hint: hint}}
}

// unknown is the finding of a check that lacks a fact.
func unknown(why error) []Finding {
	hint := ""
	if errors.Is(why, instance.ErrNoCredentials) {
		why = errors.New("there are no credentials")
	}
	if errors.Is(why, fs.ErrPermission) {
		hint = "run koboshi doctor as root"
	}
	return warning(hint, "not checked: %v", why)
}

// signed puts the check's name on its findings, and makes them fit to print.
func signed(name string, findings []Finding) []Finding {
	for i := range findings {
		findings[i].Check, findings[i].Text = name, report.Clean(findings[i].Text, maxText)
	}
	return findings
}
