package publish

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"koboshi/artifacts"
)

// ErrConflict is the sentinel of every [ConflictError].
var ErrConflict = errors.New("published before with other content")

// ConflictError is a version that is taken: a release never changes.
type ConflictError struct {
	App, Version    string
	What            string // a platform, "deltas", or "settings": hooks, health, min_agent
	Published, Mine string // digests of artifacts, or "none"; for deltas their bases
}

func (e *ConflictError) Error() string {
	if e.What == deltas {
		return fmt.Sprintf("%s %s was %v: deltas from %s, this one from %s", e.App, e.Version, ErrConflict, e.Published, e.Mine)
	}
	if e.What == settings {
		return fmt.Sprintf("%s %s was %v: other hooks, health, times or min_agent", e.App, e.Version, ErrConflict)
	}
	return fmt.Sprintf("%s %s was %v: the artifact for %s has sha256 %s, this one %s", e.App, e.Version, ErrConflict, e.What, e.Published, e.Mine)
}

// Is makes every conflict an [ErrConflict].
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

const (
	settings = "settings"
	deltas   = "deltas"
)

// compare finds the first difference that an instance would see. The time, the
// signatures, the chunks, where they are, and the index may differ.
func compare(published, mine artifacts.Manifest) error {
	conflict := &ConflictError{App: mine.App, Version: mine.Version, What: settings}
	if minAgent(published, mine) != minAgent(mine, published) || !reflect.DeepEqual(published.Hooks, mine.Hooks) || !reflect.DeepEqual(published.Health, mine.Health) {
		return conflict
	}
	for _, pair := range [][2]artifacts.Manifest{{published, mine}, {mine, published}} {
		for _, a := range pair[0].Artifacts {
			other, _ := counterpart(pair[1], a)
			if other.SHA256 != a.SHA256 || other.Format != a.Format || other.KeepTimes != a.KeepTimes {
				conflict.What = a.OS + "/" + a.Arch
				conflict.Published, conflict.Mine = digest(published, a), digest(mine, a)
				return conflict
			}
			if !slices.Equal(other.Deltas, a.Deltas) {
				conflict.What, conflict.Published, conflict.Mine = deltas, bases(published), bases(mine)
				return conflict
			}
		}
	}
	return nil
}

// minAgent is what a manifest asks for: where only one of the two has chunk lists, as
// if both had. With them or without a release is the same.
func minAgent(m, other artifacts.Manifest) string {
	if hasLists(m) == hasLists(other) {
		return m.MinAgent
	}
	return artifacts.NewerAgent(artifacts.ChunkListAgent, m.MinAgent)
}

func hasLists(m artifacts.Manifest) bool {
	return slices.ContainsFunc(m.Artifacts, func(a artifacts.Artifact) bool { return a.ChunkList != nil })
}

// bases is what a release's deltas start from.
func bases(m artifacts.Manifest) string {
	var all []string
	for _, a := range m.Artifacts {
		for _, d := range a.Deltas {
			all = append(all, fmt.Sprintf("%s (%s/%s, sha256 %s)", d.Base, a.OS, a.Arch, d.SHA256.Short()))
		}
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}

func digest(m artifacts.Manifest, platform artifacts.Artifact) string {
	a, found := counterpart(m, platform)
	if !found {
		return "none"
	}
	return a.SHA256.String()
}

// counterpart is the tree for the platform of a tree, or the same image.
func counterpart(m artifacts.Manifest, a artifacts.Artifact) (artifacts.Artifact, bool) {
	if a.Image != nil {
		return m.Same(a)
	}
	other, err := m.Artifact(a.OS, a.Arch)
	return other, err == nil
}
