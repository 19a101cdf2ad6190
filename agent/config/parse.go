package config

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
)

// File is one configuration file that the caller has read.
type File struct {
	Name string // as it appears in errors and origins
	Data []byte
}

// Error is a configuration that cannot be used. Hint may be empty.
type Error struct {
	File string
	Line int // 1 = the first; 0 = not tied to a line
	Err  error
	Hint string
}

func (e *Error) Error() string {
	switch {
	case e.File == "":
		return e.Err.Error()
	case e.Line == 0:
		return fmt.Sprintf("%s: %v", e.File, e.Err)
	}
	return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// Advice is the hint: what can be done, "" where it is not known.
func (e *Error) Advice() string { return e.Hint }

// Parse merges files in order over the defaults and checks the result. Every
// error is an [*Error].
func Parse(files ...File) (*Config, error) {
	c := defaults()
	for _, f := range files {
		if err := c.merge(f); err != nil {
			return nil, err
		}
	}
	c.derive()
	if err := c.validate(); err != nil {
		return nil, err
	}
	return &c, nil
}

// merge decodes one file over the values so far. A list replaces the list of an
// earlier file; a table is merged key by key.
func (c *Config) merge(f File) error {
	text := string(f.Data)
	floor, flush := maps.Clone(c.Trust.Floor), maps.Clone(c.Drain.Flush)
	meta, err := toml.Decode(text, c)
	if err != nil {
		return decodeError(f.Name, err)
	}
	for _, key := range meta.Keys() {
		name := key.String()
		if !known(name) {
			return unknownKey(f.Name, line(text, key), name)
		}
		c.origins[name] = Origin{File: f.Name, Line: line(text, key)}
	}
	for channel, sequence := range floor {
		if _, again := c.Trust.Floor[channel]; !again {
			c.Trust.Floor[channel] = sequence // a drop-in must not remove the floor of a channel that it does not name
		}
	}
	mergeFlush(flush, c.Drain.Flush, meta)
	return nil
}

// badType is the TOML library's error for a value of the wrong type: unlike its
// other errors, this one has its position only in the text.
var badType = regexp.MustCompile(`^toml: line (\d+) \(last key "([^"]*)"\): (.*)$`)

func decodeError(file string, err error) error {
	if m := badType.FindStringSubmatch(err.Error()); m != nil {
		at, _ := strconv.Atoi(m[1]) // digits
		return &Error{File: file, Line: at, Err: fmt.Errorf("%s: %s", m[2], wrongType(m[3]))}
	}
	parse, ok := errors.AsType[toml.ParseError](err)
	if !ok {
		return &Error{File: file, Err: err}
	}
	message := strings.TrimPrefix(parse.Message, "toml: ")
	if known(parse.LastKey) {
		message = parse.LastKey + ": " + message
	}
	return &Error{File: file, Line: parse.Position.Line, Err: errors.New(message)}
}

var incompatible = regexp.MustCompile(`^incompatible types: TOML value has type (\S+); destination has type (\S+)$`)

// typeNames are the library's names of types, which are Go's.
var typeNames = map[string]string{
	"string": "a text", "bool": "true or false", "boolean": "true or false", "int64": "a number", "integer": "a number", "float64": "a number",
	"[]any": "a list", "slice": `a list, such as ["…"]`, "map[string]any": "a table", "map": "a table", "table": "a table", "time.Time": "a date",
}

// wrongType says the library's words about a value of the wrong type in those of
// a configuration.
func wrongType(text string) string {
	m := incompatible.FindStringSubmatch(text)
	if m == nil || typeNames[m[1]] == "" || typeNames[m[2]] == "" {
		return text
	}
	return fmt.Sprintf("want %s, not %s", typeNames[m[2]], typeNames[m[1]])
}

func unknownKey(file string, at int, name string) error {
	e := &Error{File: file, Line: at, Err: fmt.Errorf("unknown key %q", name)}
	if near := nearest(name, keysLike(name)); len(near) > 0 {
		e.Hint = fmt.Sprintf("did you mean %s?", quoted(near))
	}
	return e
}

func quoted(keys []string) string {
	var all []string
	for _, key := range keys {
		all = append(all, strconv.Quote(key))
	}
	return strings.Join(all, " or ")
}

// UnmarshalTOML takes a string or a list of strings.
func (s *Sources) UnmarshalTOML(value any) error {
	switch v := value.(type) {
	case string:
		*s = Sources{v}
		return nil
	case []any:
		list := make(Sources, len(v))
		for i, item := range v {
			text, ok := item.(string)
			if !ok {
				return fmt.Errorf("want a string or a list of strings")
			}
			list[i] = text
		}
		*s = list
		return nil
	}
	return fmt.Errorf("want a string or a list of strings")
}

// line finds where key is set in text: the number of its line, or of its
// table's header, or 0. The TOML library returns positions of syntax errors only.
func line(text string, key toml.Key) int {
	table, found := "", 0
	for i, l := range strings.Split(text, "\n") {
		l = strings.TrimSpace(l)
		if header, ok := strings.CutPrefix(l, "["); ok {
			table = strings.TrimSpace(strings.SplitN(strings.TrimLeft(header, "["), "]", 2)[0])
			if table == key.String() {
				return i + 1
			}
			continue
		}
		name, _, ok := strings.Cut(l, "=")
		if !ok {
			continue
		}
		name = strings.Trim(strings.TrimSpace(name), `"'`)
		full := strings.TrimPrefix(table+"."+name, ".")
		if full == key.String() {
			return i + 1
		}
		if strings.HasPrefix(key.String(), full+".") {
			found = i + 1 // inside an inline table
		}
	}
	return found
}
