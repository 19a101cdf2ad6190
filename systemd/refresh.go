package systemd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Refresh makes systemd read its unit files again if those of a unit, or of a
// unit that starts with it, are not what it has read: a changed file, which
// systemd notices itself, or a new one, which it does not (NeedDaemonReload is
// "no" for a drop-in in a new directory). A reload costs hundreds of
// milliseconds, so there is none without need. In doubt there is one.
func (m *Manager) Refresh(ctx context.Context, unit string) error {
	current, err := m.upToDate(ctx, unit)
	switch {
	case errors.Is(err, ErrDisconnected) || ctx.Err() != nil:
		return err
	case err == nil && current:
		return nil
	}
	return m.Reload(ctx)
}

// upToDate compares what systemd has loaded of a unit, and of those that start with
// it, with their files.
func (m *Manager) upToDate(ctx context.Context, unit string) (bool, error) {
	text, err := m.property(ctx, "UnitPath")
	if err != nil {
		return false, err
	}
	var dirs []string
	if err := json.Unmarshal([]byte(text), &dirs); err != nil { // ["/etc/systemd/system", …]
		return false, fmt.Errorf("ask systemd for UnitPath: got %q", text)
	}
	props, err := m.unitProperties(ctx, unit)
	if err != nil || !isLoaded(dirs, unit, props) {
		return false, err
	}
	for _, with := range startsWith(props) {
		props, err := m.unitProperties(ctx, with)
		if errors.Is(err, ErrNoUnit) && findFragment(dirs, with) == "" {
			continue // optional, and not installed
		}
		if err != nil || !isLoaded(dirs, with, props) {
			return false, err
		}
	}
	return true, nil
}

// startsWith are the services and sockets that a unit lists as started with it, or by
// it.
func startsWith(props map[string]any) (units []string) {
	for _, name := range []string{"Requires", "BindsTo", "Wants", "TriggeredBy", "Triggers"} {
		named, _ := props[name].([]string)
		for _, unit := range named {
			if strings.HasSuffix(unit, ".service") || strings.HasSuffix(unit, ".socket") {
				units = append(units, unit)
			}
		}
	}
	return units
}

// isLoaded reports whether the files of a unit are those that systemd has read.
func isLoaded(dirs []string, unit string, props map[string]any) bool {
	changed, _ := props["NeedDaemonReload"].(bool)
	fragment, _ := props["FragmentPath"].(string)
	dropIns, _ := props["DropInPaths"].([]string)
	return !changed && sameFile(fragment, findFragment(dirs, unit)) && sameFiles(dropIns, findDropIns(dirs, unit))
}

// findFragment is the file of a unit, in the first of systemd's directories that
// has one; "" if there is none. An instance of a template has the template's.
func findFragment(dirs []string, unit string) string {
	names := []string{unit}
	if prefix, _, ok := strings.Cut(unit, "@"); ok {
		names = append(names, prefix+"@"+filepath.Ext(unit))
	}
	for _, name := range names {
		for _, dir := range dirs {
			file := filepath.Join(dir, name)
			if _, err := os.Lstat(file); err == nil {
				return file
			}
		}
	}
	return ""
}

// findDropIns are the drop-ins of a unit: of files with the same name only the
// first counts. One that leads to /dev/null masks others.
func findDropIns(dirs []string, unit string) (files []string) {
	seen := map[string]bool{}
	for _, name := range dropInDirs(unit) {
		for _, dir := range dirs {
			found, err := os.ReadDir(filepath.Join(dir, name))
			if err != nil {
				continue // most do not exist
			}
			for _, entry := range found {
				if !seen[entry.Name()] && strings.HasSuffix(entry.Name(), ".conf") {
					seen[entry.Name()] = true
					files = append(files, filepath.Join(dir, name, entry.Name()))
				}
			}
		}
	}
	return files
}

// dropInDirs are the names of a unit's drop-in directories, from the most
// specific on: for web-eu@a.service those of web-eu@a.service, web-eu@.service,
// web-.service and service (systemd.unit(5)).
func dropInDirs(unit string) []string {
	kind := filepath.Ext(unit)
	names := []string{unit}
	prefix, _, isInstance := strings.Cut(strings.TrimSuffix(unit, kind), "@")
	if isInstance {
		names = append(names, prefix+"@"+kind)
	}
	for i := len(prefix) - 1; i > 0; i-- {
		if prefix[i-1] == '-' {
			names = append(names, prefix[:i]+kind)
		}
	}
	names = append(names, strings.TrimPrefix(kind, "."))
	for i := range names {
		names[i] += ".d"
	}
	return names
}

// sameFile compares two paths of a file, which may lead through links such as
// /lib, or to the file of which a unit's name is an alias.
func sameFile(a, b string) bool {
	return a == b || resolved(a) == resolved(b)
}

func sameFiles(a, b []string) bool {
	return slices.Equal(resolveAll(a), resolveAll(b))
}

func resolveAll(files []string) (all []string) {
	for _, file := range files {
		if file = resolved(file); !isMask(file) {
			all = append(all, file)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func resolved(file string) string {
	if target, err := filepath.EvalSymlinks(file); err == nil {
		return target
	}
	return file
}

// isMask reports whether systemd treats a file as masked.
func isMask(file string) bool {
	info, err := os.Stat(file)
	return err == nil && (info.Size() == 0 || info.Mode()&fs.ModeDevice != 0)
}
