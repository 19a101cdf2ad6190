package instance

import (
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"
	"unicode/utf8"
)

const channelTag, holdTag = "koboshi:channel", "koboshi:hold"

func TestTags(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		tags, err := s.memory().Tags(t.Context(), channelTag, holdTag, "koboshi:absent")
		if want := map[string]string{channelTag: "canary", holdTag: ""}; err != nil || !maps.Equal(tags, want) {
			t.Errorf("Tags = %q, %v, want %q", tags, err, want)
		}
		if s.count("GET "+tagsPath+"/Name") != 0 || s.count("GET "+tagsPath+"/koboshi:absent") != 0 {
			t.Errorf("asked for tags that were not named or are not there: %v", s.asked)
		}
	})
}

// All values are read in the time of one.
func TestTagsAreReadTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		s.slow = time.Second
		m := s.memory()
		if _, err := m.Identity(t.Context()); err != nil { // and has a token
			t.Fatal(err)
		}
		began := time.Now()
		tags, err := m.Tags(t.Context(), channelTag, holdTag)
		if took := time.Since(began); err != nil || len(tags) != 2 || took != 2*s.slow {
			t.Errorf("%d tags after %s, %v; want 2 after the time of the list and one value", len(tags), took, err)
		}
	})
}

func TestTagsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		delete(s.pages, tagsPath)
		tags, err := s.memory().Tags(t.Context(), channelTag)
		if !errors.Is(err, ErrTagsOff) || errors.Is(err, ErrMalformed) || tags != nil {
			t.Errorf("Tags = %q, %v, want ErrTagsOff", tags, err)
		}
	})
}

func TestATagTakenAwayMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		delete(s.pages, tagsPath+"/"+channelTag)
		tags, err := s.memory().Tags(t.Context(), channelTag, holdTag)
		if err != nil || !maps.Equal(tags, map[string]string{holdTag: ""}) {
			t.Errorf("Tags = %q, %v, want the other alone", tags, err)
		}
	})
}

func TestTagsWhileMetadataIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		s.answer = func(_ time.Duration, r *http.Request) (int, string) {
			if strings.HasSuffix(r.URL.Path, channelTag) {
				return 503, ""
			}
			return 0, ""
		}
		if tags, err := s.memory().Tags(t.Context(), channelTag); !errors.Is(err, ErrUnreachable) || tags != nil {
			t.Errorf("Tags = %q, %v, want ErrUnreachable: a tag that cannot be read is not absent", tags, err)
		}
	})
}

func TestHostileTagValues(t *testing.T) {
	for name, value := range map[string]string{
		"escape": "\x1b[2Jmust-not-leak", "newline": "canary\nFOO=must-not-leak", "NUL": "a\x00", "C1": "a\u009bb",
		"right-to-left override": "a\u202eb", "invisible": "a\u200bb", "not UTF-8": "a\xff", "long": strings.Repeat("ä", 257),
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newService()
			s.pages[tagsPath+"/"+channelTag] = value
			tags, err := s.memory().Tags(t.Context(), channelTag, holdTag)
			if !errors.Is(err, ErrHostileTag) || !strings.Contains(err.Error(), channelTag) {
				t.Errorf("%s: %v, want ErrHostileTag and the name", name, err)
			}
			if !maps.Equal(tags, map[string]string{holdTag: ""}) {
				t.Errorf("%s: %q, want the good tag alone", name, tags)
			}
			noSecret(t, err)
		})
	}
}

func TestTagNamesCannotLeaveTheTags(t *testing.T) {
	for _, name := range []string{"..", ".", "../../iam", "a/b", "a b", "%2e%2e", "", strings.Repeat("a", 129)} {
		synctest.Test(t, func(t *testing.T) {
			s := newService()
			s.pages[tagsPath] += "\n" + name // even if the list has it
			if tags, err := s.memory().Tags(t.Context(), name); !errors.Is(err, ErrHostileTag) || len(tags) != 0 {
				t.Errorf("%.20q: %q, %v, want ErrHostileTag", name, tags, err)
			}
			if s.count("GET "+tagsPath) != len(s.asked)-1 {
				t.Errorf("%.20q: asked %v", name, s.asked)
			}
		})
	}
}

func TestTargetState(t *testing.T) {
	tests := []struct {
		page, want string
		err        error
	}{
		{"InService", "InService", nil},
		{"Warmed:Stopped", "Warmed:Stopped", nil},
		{"Warmed:Terminating:Retained", "Warmed:Terminating:Retained", nil},
		{"", "", ErrMalformed},
		{"InService\n", "", ErrMalformed},
		{"<html>", "", ErrMalformed},
		{"Warmed:Stopped:Wait:More", "", ErrMalformed},
		{strings.Repeat("A", 80), "", ErrMalformed},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			s := newService()
			s.pages[statePath] = tt.page
			if got, err := s.memory().TargetState(t.Context()); got != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("%.20q: TargetState = %q, %v, want %q, %v", tt.page, got, err, tt.want, tt.err)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		delete(s.pages, statePath)
		if got, err := s.memory().TargetState(t.Context()); got != "" || err != nil {
			t.Errorf("in no group: %q, %v, want no state and no error", got, err)
		}
	})
}

func FuzzCheckTagValue(f *testing.F) {
	for _, seed := range []string{"", "canary", "a\nb", "\x1b[0m", "a\xff", "日本語", strings.Repeat("x", 256), strings.Repeat("x", 257)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if err := checkTagValue(value); err != nil {
			if len(value) >= 8 && strings.Contains(err.Error(), value) {
				t.Errorf("quotes the value: %v", err)
			}
			return
		}
		if !utf8.ValidString(value) || utf8.RuneCountInString(value) > 256 {
			t.Errorf("let through: %q", value)
		}
		for _, r := range value {
			if unicode.In(r, unicode.C, unicode.Zl, unicode.Zp) {
				t.Errorf("let through: %q in %q", r, value)
			}
		}
	})
}
