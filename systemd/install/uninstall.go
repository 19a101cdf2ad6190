package install

import (
	"path"

	"koboshi/systemd"
)

// Uninstall removes what [Root.Install] brings, beginning with the links that
// start it. Configuration, keys, releases and state stay, and so do the files of
// a package. The changes made before an error are returned with it.
func (r *Root) Uninstall() ([]Change, error) {
	r.changes = nil
	err := r.uninstall()
	return r.changes, err
}

func (r *Root) uninstall() error {
	links, err := wantedBy(systemd.BootUnit)
	if err != nil {
		return err
	}
	for _, name := range append(links, dropIn) {
		if err := r.remove(name); err != nil {
			return err
		}
	}
	if err := r.removeProgram(); err != nil {
		return err
	}
	for _, dir := range []string{path.Dir(dropIn), configDir + "/keys", configDir + "/koboshi.d", configDir} {
		if err := r.removeEmpty(dir); err != nil {
			return err
		}
	}
	return nil
}

func (r *Root) removeProgram() error {
	if err := r.remove(unit); err != nil {
		return err
	}
	return r.remove(Binary)
}
