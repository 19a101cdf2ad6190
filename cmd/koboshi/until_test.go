package main

import (
	"strings"
	"testing"
	"time"
)

// A hold ends after a duration, or at a time of the operator's own zone.
func TestParseUntil(t *testing.T) {
	zone := time.FixedZone("CET", 3600)
	now := time.Date(2026, 11, 28, 16, 30, 0, 5e8, zone)
	for text, want := range map[string]string{
		"0":                         "0001-01-01T00:00:00Z",
		"2h":                        "2026-11-28T17:30:00Z",
		"18:00":                     "2026-11-28T17:00:00Z",
		"2026-11-29":                "2026-11-28T23:00:00Z",
		"2026-11-29T18:00":          "2026-11-29T17:00:00Z",
		"2026-11-29T18:00:05":       "2026-11-29T17:00:05Z",
		"2026-11-29 18:00":          "2026-11-29T17:00:00Z",
		"2026-11-29T18:00:00Z":      "2026-11-29T18:00:00Z",
		"2026-11-29T18:00:00-05:00": "2026-11-29T23:00:00Z",
		"1ns":                       "is in the past",
		"16:30":                     "is in the past: it is 2026-11-28T16:30:00+01:00 now",
		"-2h":                       "2026-11-28T14:30:00+01:00 is in the past",
		"2026-11-28":                "is in the past",
		"2026-11-28T15:00:00Z":      "is in the past",
		"":                          "want a duration such as 2h",
		"2":                         "want a duration such as 2h",
		"tomorrow":                  "want a duration such as 2h",
		"2026-13-01":                "want a duration such as 2h",
		"25:00":                     "want a duration such as 2h",
	} {
		at, err := parseUntil(text, now)
		got := at.Format(time.RFC3339)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) || err == nil && got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}
