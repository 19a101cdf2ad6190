package main

import (
	"errors"
	"fmt"
	"time"
)

// untilFlag is the end of a hold: a duration from now, or a date or time. The
// zero time is no end.
type untilFlag struct {
	text string
	at   time.Time // UTC, in whole seconds
}

func (f *untilFlag) String() string { return f.text }
func (f *untilFlag) Type() string   { return "time" }

func (f *untilFlag) Set(text string) (err error) {
	f.text = text
	f.at, err = parseUntil(text, time.Now())
	return err
}

// untilLayouts are the spellings of a time that is not RFC 3339, in the local
// zone. A date alone is the beginning of that day.
var untilLayouts = []string{"2006-01-02", "2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02 15:04:05"}

// parseUntil reads a duration from now, or a time in the zone of now. 0 is no end;
// a time in the past is an error.
func parseUntil(text string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil {
		if d == 0 {
			return time.Time{}, nil
		}
		return later(now.Add(d), now)
	}
	if clock, err := time.Parse("15:04", text); err == nil {
		return later(time.Date(now.Year(), now.Month(), now.Day(), clock.Hour(), clock.Minute(), 0, 0, now.Location()), now)
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return later(t, now)
	}
	for _, layout := range untilLayouts {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return later(t, now)
		}
	}
	return time.Time{}, errors.New("want a duration such as 2h, or a time such as 18:00, 2026-11-29 or 2026-11-29T18:00")
}

func later(t, now time.Time) (time.Time, error) {
	t = t.Truncate(time.Second)
	if !t.After(now) {
		return time.Time{}, fmt.Errorf("%s is in the past: it is %s now", t.In(now.Location()).Format(time.RFC3339), now.Format(time.RFC3339))
	}
	return t.UTC(), nil
}
