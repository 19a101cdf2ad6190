package install

import (
	"path"

	"koboshi/systemd"
)

// Uninstall removes what [Root.Install] brings for an app, beginning with the links
// that start it, and with the last app binary and units. Configuration, keys,
// releases and state stay, and so do the files of a package. The changes made
// before an error are returned with it, and the apps that binary and units stay for.
func (r *Root) Uninstall(app string) (changes []Change, others []string, err error) {
	r.changes = nil
	others, err = r.uninstall(app)
	return r.changes, others, err
}

func (r *Root) uninstall(app string) (others []string, err error) {
	if err := r.follow(app, Follow{Off: true}, false); err != nil {
		return nil, err
	}
	for _, unit := range alwaysEnabled() {
		if err := r.disable(unit, app); err != nil {
			return nil, err
		}
	}
	if err := r.remove(dropInOf(systemd.WatchUnit, app, orderFile)); err != nil {
		return nil, err
	}
	var dirs []string
	for _, unit := range runUnits() {
		name := dropInOf(unit, app, pathsFile)
		if err := r.remove(name); err != nil {
			return nil, err
		}
		dirs = append(dirs, path.Dir(name))
	}
	dirs = append(dirs, path.Dir(dropInOf(systemd.SyncTimer, app, intervalFile)))
	if others, err = r.Apps(); err != nil {
		return nil, err
	}
	if len(others) == 0 {
		if err := r.removeProgram(); err != nil {
			return nil, err
		}
		dirs = append(dirs, ConfigDir+"/keys", dropInsOf(app), ConfigDir)
	} else {
		dirs = append(dirs, dropInsOf(app))
	}
	for _, dir := range dirs {
		if err := r.removeEmpty(dir); err != nil {
			return nil, err
		}
	}
	return others, nil
}

func (r *Root) removeProgram() error {
	err := eachUnit(func(unit string) error { return r.remove(path.Join(UnitDir, unit)) })
	if err != nil {
		return err
	}
	return r.remove(Binary)
}
