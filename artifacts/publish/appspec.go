package publish

import (
	"koboshi/artifacts"
	"koboshi/artifacts/codedeploy"
	"koboshi/artifacts/lint"
	"koboshi/artifacts/tree"
)

// appspecs are the names that CodeDeploy looks for.
var appspecs = []string{"appspec.yml", "appspec.yaml"}

// readAppspec maps the scripts of a CodeDeploy bundle to hooks. What is wrong
// with it, or has no counterpart, becomes findings.
func (in *Input) readAppspec() error {
	b := bundle{list: in.list, paths: in.list.byPath()}
	name := b.appspec()
	if name == "" {
		in.findings = append(in.findings, lint.Finding{Level: lint.Error, Check: lint.Appspec, Path: appspecs[0],
			Text: "is not there, at the top of the bundle", Hint: "--strip-components takes folders off; without an appspec leave --codedeploy out"})
		return nil
	}
	text, err := b.read(name, codedeploy.MaxBytes+1)
	if err != nil {
		return err
	}
	spec, notes := codedeploy.Parse(name, text)
	in.note(notes)
	if len(notes) > 0 {
		return nil
	}
	in.hooks, notes, err = spec.Plan(b, in.opt.Hooks)
	in.note(notes)
	return err
}

// noteUnread warns of an appspec whose scripts would never run.
func (in *Input) noteUnread() {
	if name := (bundle{paths: in.list.byPath()}).appspec(); name != "" {
		in.findings = append(in.findings, lint.Finding{Level: lint.Warning, Check: lint.CodeDeploy, Path: name,
			Text: "is not read: none of its scripts will run", Hint: "--codedeploy makes hooks of them; where CodeDeploy alone needs it, --exclude it"})
	}
}

func (in *Input) note(notes []codedeploy.Note) {
	for _, n := range notes {
		f := lint.Finding{Level: lint.Warning, Check: lint.CodeDeploy, Path: n.Path, Text: n.Text, Hint: n.Hint}
		if n.Wrong {
			f.Level, f.Check = lint.Error, lint.Appspec
		}
		in.findings = append(in.findings, f)
	}
}

// Hooks are those of the options, and those that scripts of a CodeDeploy bundle
// have become.
func (in *Input) Hooks() artifacts.Hooks { return in.hooks }

// bundle is the tree as package codedeploy sees it.
type bundle struct {
	list  *listing
	paths map[string]tree.Entry
}

// appspec is the name of its appspec, "" where it has none.
func (b bundle) appspec() string {
	for _, name := range appspecs {
		if b.paths[name].Type == tree.TypeFile {
			return name
		}
	}
	return ""
}

func (b bundle) Has(name string) bool {
	_, found := b.paths[name]
	return found
}

func (b bundle) Runnable(name string) error { return runnable(b.paths, name) }

// maxScript is how many bytes of a script are read.
const maxScript = 64 << 10

func (b bundle) Head(name string) ([]byte, error) { return b.read(resolve(b.paths, name), maxScript) }

func (b bundle) read(name string, most int) ([]byte, error) {
	for i := range b.list.files {
		if f := &b.list.files[i]; f.Path == name {
			text := make([]byte, min(int64(most), f.Size))
			n, err := b.list.head(i, text)
			return text[:n], err
		}
	}
	return nil, nil
}

func (l *listing) byPath() map[string]tree.Entry {
	paths := make(map[string]tree.Entry, len(l.files))
	for i := range l.files {
		paths[l.files[i].Path] = l.files[i].Entry
	}
	return paths
}
