package install

import (
	"io/fs"
	"path"
	"strings"

	"koboshi/systemd"
)

// wantedBy lists the links that enable a unit, one of [systemd.Units], for the
// app called name, as absolute paths: what "systemctl enable" reads from WantedBy=.
func wantedBy(unit, name string) ([]string, error) {
	text, err := fs.ReadFile(systemd.Units(), systemd.TemplateOf(unit, name))
	if err != nil {
		return nil, err
	}
	var links []string
	for line := range strings.Lines(string(text)) {
		if targets, ok := strings.CutPrefix(strings.TrimSpace(line), "WantedBy="); ok {
			for _, target := range strings.Fields(targets) {
				links = append(links, UnitDir+"/"+target+".wants/"+systemd.UnitOf(unit, name))
			}
		}
	}
	return links, nil
}

// enable makes the links that systemctl enable makes.
func (r *Root) enable(unit, name string) error {
	target := path.Join(UnitDir, systemd.TemplateOf(unit, name))
	if r.hasPackage() {
		target = path.Join(packageDir, systemd.TemplateOf(unit, name))
	}
	links, err := wantedBy(unit, name)
	if err != nil {
		return err
	}
	for _, link := range links {
		if err := r.link(target, link); err != nil {
			return err
		}
	}
	return nil
}

// disable removes the links that [Root.enable] makes.
func (r *Root) disable(unit, name string) error {
	links, err := wantedBy(unit, name)
	if err != nil {
		return err
	}
	for _, link := range links {
		if err := r.remove(link); err != nil {
			return err
		}
	}
	return nil
}
