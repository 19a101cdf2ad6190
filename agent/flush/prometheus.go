package flush

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// series is one line of Prometheus' text format.
type series struct {
	name   string
	labels map[string]string
	value  float64
}

// parsePrometheus reads the text format; exemplars and times are left out.
func parsePrometheus(data []byte) ([]series, error) {
	var all []series
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		one, err := parseSeries(line)
		if err != nil {
			return nil, fmt.Errorf("not in Prometheus' text format: %.60q", line)
		}
		all = append(all, one)
	}
	return all, nil
}

// maxNumber is up to where a float counts; NaN is not below it.
const maxNumber = 1 << 53

var errSeries = errors.New("no series")

func parseSeries(line string) (series, error) {
	one, rest, err := parseSelector(line)
	if err != nil {
		return series{}, err
	}
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return series{}, errSeries
	}
	one.value, err = strconv.ParseFloat(fields[0], 64)
	return one, err
}

// parseSelector reads a name, and labels where there are any.
func parseSelector(text string) (one series, rest string, err error) {
	end := strings.IndexAny(text, "{ \t")
	if end < 0 {
		end = len(text)
	}
	one.name, rest = text[:end], text[end:]
	if one.name == "" {
		return one, rest, errSeries
	}
	rest, labelled := strings.CutPrefix(rest, "{")
	for labelled {
		rest = strings.TrimLeft(rest, " ,")
		if after, closed := strings.CutPrefix(rest, "}"); closed {
			return one, after, nil
		}
		name, after, found := strings.Cut(rest, "=")
		quoted, err := strconv.QuotedPrefix(after)
		if !found || err != nil || quoted[0] != '"' {
			return one, rest, errSeries
		}
		value, err := strconv.Unquote(quoted)
		if err != nil {
			return one, rest, errSeries
		}
		if one.labels == nil {
			one.labels = map[string]string{}
		}
		one.labels[strings.TrimSpace(name)] = value
		rest = after[len(quoted):]
	}
	return one, rest, nil
}

// sum adds up the series that a selector such as name{label="value"} names. A
// counter may also be called name_total.
func sum(all []series, selector string) (total int64, found bool) {
	want, _, err := parseSelector(selector)
	if err != nil {
		return 0, false
	}
	added := 0.0
	for _, one := range all {
		if (one.name == want.name || one.name == want.name+"_total") && one.has(want.labels) {
			added, found = added+one.value, true
		}
	}
	return whole(added), found && math.Abs(added) < maxNumber
}

func (s series) has(labels map[string]string) bool {
	for name, value := range labels {
		if s.labels[name] != value {
			return false
		}
	}
	return true
}

// whole rounds away from 0: a little that waits is not nothing.
func whole(value float64) int64 {
	if value < 0 {
		return int64(math.Floor(value))
	}
	return int64(math.Ceil(value))
}
