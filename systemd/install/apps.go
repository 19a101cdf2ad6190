package install

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"koboshi/systemd"
)

// Apps lists the apps that are installed, in name order: those whose unit is
// enabled or has the drop-in that [Root.Install] writes.
func (r *Root) Apps() ([]string, error) {
	var apps []string
	note := func(unit string) {
		if app, ok := systemd.AppOf(systemd.BootUnit, unit); ok && !slices.Contains(apps, app) {
			apps = append(apps, app)
		}
	}
	links, err := wantedBy(systemd.BootUnit, systemd.FirstApp)
	if err != nil {
		return nil, err
	}
	for _, link := range links {
		wanted, err := r.list(path.Dir(link))
		if err != nil {
			return nil, err
		}
		for _, unit := range wanted {
			note(unit)
		}
	}
	found, err := r.list(UnitDir)
	if err != nil {
		return nil, err
	}
	for _, name := range found {
		unit, is := strings.CutSuffix(name, ".d")
		if _, err := r.root.Lstat(in(path.Join(UnitDir, name, pathsFile))); is && err == nil {
			note(unit)
		}
	}
	slices.Sort(apps)
	return apps, nil
}

// list is what is in a directory; nothing, where there is none.
func (r *Root) list(dir string) (names []string, err error) {
	entries, err := fs.ReadDir(r.root.FS(), in(dir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, cannot("read", dir, err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}
