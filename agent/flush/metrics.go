package flush

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
)

// metrics asks any shipper that has its numbers at a URL, as Prometheus text or
// as JSON.
type metrics struct {
	url   string
	zero  []string
	equal [][2]string
	get   getter
}

func (m *metrics) look(ctx context.Context, _ []*file) (sight, error) {
	body, err := m.get(ctx, m.url)
	if err != nil {
		return sight{}, err
	}
	value, err := valuesOf(body)
	if err != nil {
		return sight{}, err
	}
	return m.judge(value)
}

func (m *metrics) judge(value func(name string) (int64, bool)) (sight, error) {
	s := sight{unit: Records}
	take := func(name string) (int64, error) {
		n, found := value(name)
		if !found {
			return 0, fmt.Errorf("no number at %q", name)
		}
		s.inputs = append(s.inputs, n)
		return n, nil
	}
	for _, name := range m.zero {
		n, err := take(name)
		if err != nil {
			return sight{}, err
		}
		if n < 0 {
			return sight{}, fmt.Errorf("%s is %d", name, n)
		}
		s.left += n
	}
	for _, pair := range m.equal {
		a, err := take(pair[0])
		if err != nil {
			return sight{}, err
		}
		b, err := take(pair[1])
		if err != nil {
			return sight{}, err
		}
		s.left += max(a-b, b-a)
	}
	return s, nil
}

// valuesOf finds out which format it is.
func valuesOf(body []byte) (func(name string) (int64, bool), error) {
	if start := bytes.TrimSpace(body); len(start) == 0 || start[0] != '{' && start[0] != '[' {
		all, err := parsePrometheus(body)
		return func(name string) (int64, bool) { return sum(all, name) }, err
	}
	var document any
	if err := json.Unmarshal(body, &document); err != nil {
		return nil, errors.New("neither JSON nor Prometheus text")
	}
	return func(path string) (int64, bool) {
		total, found := numbers(document, strings.Split(path, "."))
		return whole(total), found && math.Abs(total) < maxNumber
	}, nil
}

// numbers adds up the numbers at a path, in which * stands for every member or
// element. Members without the rest of the path are left out.
func numbers(v any, path []string) (total float64, found bool) {
	if len(path) == 0 {
		n, ok := v.(float64)
		return n, ok
	}
	add := func(child any) {
		n, ok := numbers(child, path[1:])
		total, found = total+n, found || ok
	}
	switch v := v.(type) {
	case map[string]any:
		for key, child := range v {
			if key == path[0] || path[0] == "*" {
				add(child)
			}
		}
	case []any:
		for i, child := range v {
			if path[0] == "*" || path[0] == fmt.Sprint(i) {
				add(child)
			}
		}
	}
	return total, found
}
