package picture

import (
	"fmt"
	"strings"
	"time"

	"koboshi/agent/report"
)

// clock is how times of day are written.
const clock = "15:04:05"

// Notes say of a run what its steps do not: which release it led from and to, when
// it was, what became of the lifecycle action, and why it failed. None is cut.
func Notes(r report.Report) []string {
	end := r.Started.Add(time.Duration(r.MS) * time.Millisecond)
	notes := []string{
		releases(r),
		fmt.Sprintf("%s to %s UTC on %s", r.Started.UTC().Format(clock), end.UTC().Format(clock), r.Started.UTC().Format(time.DateOnly)),
	}
	if r.Lifecycle.Result != "" {
		notes = append(notes, fmt.Sprintf("lifecycle hook %s: %s, %d heartbeats", r.Lifecycle.Hook, r.Lifecycle.Result, r.Lifecycle.Heartbeats))
	}
	if r.Error != nil {
		notes = append(notes, fmt.Sprintf("error %d: %s", r.Error.Code, r.Error.Message))
		if r.Error.Hint != "" {
			notes = append(notes, "hint: "+r.Error.Hint)
		}
	}
	return notes
}

func releases(r report.Report) string {
	var parts []string
	if r.Target != nil {
		parts = append(parts, r.Pointed())
	}
	for _, release := range []struct {
		what string
		is   *report.Release
	}{{"current is", r.Release}, {"previous is", r.Previous}} {
		if release.is != nil {
			parts = append(parts, release.what+" "+release.is.Version)
		}
	}
	if len(parts) == 0 {
		return "no release"
	}
	return strings.Join(parts, ", ")
}

// wrapped breaks notes into lines between words, and words that are longer than a
// line anywhere.
func wrapped(notes []string) (lines []string) {
	for _, note := range notes {
		line := ""
		for _, word := range strings.Fields(report.Clean(note, report.MaxText)) {
			for len([]rune(line))+1+len([]rune(word)) > svgNoteRunes {
				if line == "" {
					line, word = string([]rune(word)[:svgNoteRunes]), string([]rune(word)[svgNoteRunes:])
				}
				lines, line = append(lines, line), ""
			}
			line = strings.TrimSpace(line + " " + word)
		}
		lines = append(lines, line)
	}
	return lines
}
