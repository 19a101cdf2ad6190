package systemd

import (
	"context"
	"slices"
)

// maxOrdered bounds the walk of [Manager.OrderedAfter], in units.
const maxOrdered = 1000

// OrderedAfter finds out whether a start of unit would have to wait for the start of
// other, if both started at once: through is the unit with other in its After=,
// which is unit itself or one that it waits for, and "" if there is none. Units that
// systemd has not loaded do not count.
func (m *Manager) OrderedAfter(ctx context.Context, unit, other string) (through string, err error) {
	seen := map[string]bool{unit: true}
	for queue := []string{unit}; len(queue) > 0 && len(seen) < maxOrdered; queue = queue[1:] {
		after, err := m.after(ctx, queue[0])
		if err != nil {
			return "", err
		}
		if slices.Contains(after, other) {
			return queue[0], nil
		}
		for _, next := range after {
			if !seen[next] {
				seen[next] = true
				queue = append(queue, next)
			}
		}
	}
	return "", nil
}

func (m *Manager) after(ctx context.Context, unit string) ([]string, error) {
	return unitProperty[[]string](ctx, m, unit, "After")
}
