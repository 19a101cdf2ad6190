package instance

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

const maxTagValue = 256 // characters, AWS's own limit

// tagPattern is the grammar of tag keys in instance metadata.
var tagPattern = regexp.MustCompile(`^[A-Za-z0-9+\-=.,_:@]{1,128}$`)

// Tags returns those of the named tags that the instance has now. It reads no
// others, and all values at the same time. [ErrTagsOff] means that tags are not in the metadata at all; with an
// error that is [ErrHostileTag] it also returns the valid tags. A tag may appear
// some seconds after launch.
//
// Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/work-with-tags-in-IMDS.html
func (m *Metadata) Tags(ctx context.Context, names ...string) (map[string]string, error) {
	list, err := m.metadata(ctx, "tags/instance")
	switch {
	case errors.Is(err, errNotFound):
		return nil, ErrTagsOff
	case err != nil:
		return nil, err
	}
	there := strings.Split(string(list), "\n")
	names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !slices.Contains(there, name) })
	values, errs := make([]string, len(names)), make([]error, len(names))
	var reading sync.WaitGroup
	for i, name := range names {
		reading.Go(func() { values[i], errs[i] = m.tag(ctx, name) })
	}
	reading.Wait()
	tags := make(map[string]string)
	var hostile error
	for i, err := range errs {
		switch {
		case err == nil:
			tags[names[i]] = values[i]
		case errors.Is(err, ErrHostileTag):
			hostile = errors.Join(hostile, err)
		case !errors.Is(err, errNotFound): // a 404: taken away meanwhile
			return nil, err
		}
	}
	return tags, hostile
}

// tag reads and checks one tag's value.
func (m *Metadata) tag(ctx context.Context, name string) (string, error) {
	if !tagPattern.MatchString(name) || strings.Trim(name, ".") == "" {
		return "", fmt.Errorf("%w: %.64q is no name for a tag in metadata", ErrHostileTag, name)
	}
	value, err := m.metadata(ctx, "tags/instance/"+name)
	if err != nil {
		return "", err
	}
	if err := checkTagValue(string(value)); err != nil {
		return "", fmt.Errorf("%w: %s: %w", ErrHostileTag, name, err)
	}
	return string(value), nil
}

// checkTagValue refuses values that do not fit one line of a log. It does not
// quote the value.
func checkTagValue(value string) error {
	switch {
	case !utf8.ValidString(value):
		return errors.New("not UTF-8")
	case utf8.RuneCountInString(value) > maxTagValue:
		return fmt.Errorf("more than %d characters", maxTagValue)
	case strings.ContainsFunc(value, func(r rune) bool { return !unicode.IsPrint(r) }):
		return errors.New("a character that cannot be printed")
	}
	return nil
}
