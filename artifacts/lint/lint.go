package lint

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"slices"

	"koboshi/artifacts/tree"
)

// Level is how much a finding matters.
type Level string

// The levels of findings.
const (
	Error   Level = "error"   // no instance would take the tree
	Warning Level = "warning" // the app may not work, or more is published than was meant
)

// Finding is one thing to correct.
type Finding struct {
	Level Level  `json:"level"`
	Check string `json:"check"`          // what was looked at, such as "link"
	Path  string `json:"path,omitempty"` // in the tree; empty where it is about the whole
	Text  string `json:"text"`
	Hint  string `json:"hint"` // what to do
}

// File is one path of the tree as its maker left it.
type File struct {
	tree.Entry             // what an instance will have; no Type where it can have nothing like it
	Was        fs.FileMode // type, permissions and special bits
	Attributes []string    // names of extended attributes
	Sparse     bool        // it has holes
	Unreadable string      // why it cannot be read; empty = it can
}

// Tree is what is to be published.
type Tree struct {
	KeepTimes bool   // entries have times that instances keep
	Built     string // absolute path of the directory it is in on this machine; empty for an archive
	Files     []File // parents first
	// Head reads the first bytes of Files[i], as many as it has or buf takes.
	Head func(i int, buf []byte) (int, error)
}

// RefusedError is a tree that no instance would take. It is a tree.ErrRefused.
type RefusedError struct{ Findings []Finding } // those of level [Error], at least one

func (e *RefusedError) Error() string {
	first := e.Findings[0]
	text := fmt.Sprintf("%v: %q: %s", tree.ErrRefused, first.Path, first.Text)
	if more := len(e.Findings) - 1; more > 0 {
		text += fmt.Sprintf(", and %d more", more)
	}
	return text
}

// Unwrap makes errors.Is(err, tree.ErrRefused) true.
func (e *RefusedError) Unwrap() error { return tree.ErrRefused }

// Refused is a [*RefusedError] of the findings that are errors, nil if none is.
func Refused(findings []Finding) error {
	findings = slices.DeleteFunc(slices.Clone(findings), func(f Finding) bool { return f.Level != Error })
	if len(findings) == 0 {
		return nil
	}
	return &RefusedError{findings}
}

// Check makes all checks. Errors come first, each level in the order of the
// checks, and those with one hint together. What fails is reading, never a check.
func Check(ctx context.Context, t Tree) ([]Finding, error) {
	c := &checker{tree: t, paths: make(map[string]*File, len(t.Files)), buf: make([]byte, maxHead)}
	for i := range t.Files {
		c.paths[t.Files[i].Path] = &t.Files[i]
	}
	c.whole()
	for i := range t.Files {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		f := &t.Files[i]
		c.file(f)
		if err := c.contents(i); err != nil {
			return nil, err
		}
	}
	c.faults()
	Sort(c.findings)
	return c.findings, nil
}

// Sort sorts findings as [Check] returns them.
func Sort(findings []Finding) {
	hints := map[string]int{}
	for _, f := range findings {
		if _, known := hints[f.Hint]; !known {
			hints[f.Hint] = len(hints)
		}
	}
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Level, b.Level), cmp.Compare(order(a.Check), order(b.Check)), cmp.Compare(hints[a.Hint], hints[b.Hint]))
	})
}

// Checks that publish makes, since they need more than the tree.
const (
	Program    = "program"    // what cannot be executed
	Appspec    = "appspec"    // what is wrong with an appspec
	CodeDeploy = "codedeploy" // what koboshi has no counterpart for
)

// checks are the names of all checks in the order in which they are reported.
var checks = [...]string{
	"empty", Appspec, "name", "link", "special", "setuid", "unreadable", Program, CodeDeploy,
	"interpreter", "build-path", "mode", "capability", "attribute", "sparse", "stale-pyc", "secret", "vcs", "top-folder",
}

func order(check string) int { return slices.Index(checks[:], check) }

// Names are the names of all checks.
func Names() []string { return checks[:] }

type checker struct {
	tree     Tree
	paths    map[string]*File
	buf      []byte
	findings []Finding
}

func (c *checker) note(level Level, check, path, hint, text string, args ...any) {
	c.findings = append(c.findings, Finding{level, check, path, fmt.Sprintf(text, args...), hint})
}
