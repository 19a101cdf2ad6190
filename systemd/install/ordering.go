package install

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// ordering is which unit starts after which, by their files.
type ordering struct {
	after map[string][]string
	alias map[string]string
	loose map[string]bool // DefaultDependencies=no
	wants map[string][]string
	seen  map[string]bool
}

// unitDirs are systemd's, in the order in which the first file of a name counts.
func unitDirs() []string {
	return []string{UnitDir, "/run/systemd/system", "/usr/local/lib/systemd/system", packageDir, "/lib/systemd/system"}
}

// readOrdering reads every unit file of the root. Units that are made at the start of
// the machine (fstab, /etc/init.d) are not among them.
func (r *Root) readOrdering() (*ordering, error) {
	g := &ordering{map[string][]string{}, map[string]string{}, map[string]bool{}, map[string][]string{}, map[string]bool{}}
	for _, dir := range unitDirs() {
		names, err := r.list(dir)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if err := r.readUnit(g, dir, name); err != nil {
				return nil, err
			}
		}
	}
	for unit, wanted := range g.wants { // systemd.target(5), systemd.service(5): implicit dependencies
		for _, w := range wanted {
			if path.Ext(unit) == ".target" && !g.loose[unit] && !g.loose[w] {
				g.order(unit, w)
			}
		}
	}
	return g, nil
}

// readUnit reads an entry of a directory of units: a unit, a link to one, or a
// directory that belongs to one.
func (r *Root) readUnit(g *ordering, dir, name string) error {
	unit, kind := strings.TrimSuffix(name, path.Ext(name)), path.Ext(name)
	file := path.Join(dir, name)
	switch kind {
	case ".wants", ".requires":
		wanted, err := r.list(file)
		g.wants[unit] = append(g.wants[unit], wanted...)
		return err
	case ".d":
		dropIns, err := r.list(file)
		for _, dropIn := range dropIns {
			if path.Ext(dropIn) == ".conf" && dropIn != orderFile { // ours is made anew
				err = errors.Join(err, r.readSettings(g, unit, path.Join(file, dropIn)))
			}
		}
		return err
	case ".service", ".socket", ".target", ".timer", ".path", ".mount":
		if g.seen[name] {
			return nil
		}
		g.seen[name] = true
		return r.readSettings(g, name, file)
	}
	return nil
}

// readSettings reads what a file says about the order of a unit. Links may be absolute
// paths of the machine.
func (r *Root) readSettings(g *ordering, unit, file string) error {
	for range 8 { // links in a row
		target, err := r.root.Readlink(in(file))
		if err != nil {
			break
		}
		if !path.IsAbs(target) {
			target = path.Join(path.Dir(file), target)
		}
		if file = target; path.Base(file) != unit && path.Ext(unit) == path.Ext(file) {
			g.alias[unit] = path.Base(file)
			return nil
		}
	}
	data, err := r.root.ReadFile(in(file))
	if errors.Is(err, fs.ErrNotExist) || strings.HasPrefix(file, "/dev/") { // masked, or a link into nowhere
		return nil
	}
	if err != nil {
		return cannot("read", file, err)
	}
	g.parse(unit, string(data))
	return nil
}

// parse takes the settings of a unit file: systemd.unit(5).
func (g *ordering) parse(unit, text string) {
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "After":
			g.order(unit, strings.Fields(value)...)
		case "Before":
			for _, later := range strings.Fields(value) {
				g.order(later, unit)
			}
		case "Wants", "Requires", "BindsTo":
			g.wants[unit] = append(g.wants[unit], strings.Fields(value)...)
		case "DefaultDependencies":
			g.loose[unit] = slices.Contains([]string{"no", "false", "off", "0"}, strings.TrimSpace(value))
		}
	}
}

// order notes that a unit starts after others.
func (g *ordering) order(unit string, first ...string) {
	g.after[unit] = append(g.after[unit], first...)
}

// name is the unit that an alias stands for.
func (g *ordering) name(unit string) string {
	if other, ok := g.alias[unit]; ok {
		return other
	}
	return unit
}

// waitsFor are the units that one starts after.
func (g *ordering) waitsFor(unit string) []string {
	first := g.after[unit]
	for alias, of := range g.alias {
		if of == unit {
			first = slices.Concat(first, g.after[alias])
		}
	}
	if prefix, _, ok := strings.Cut(unit, "@"); ok {
		first = slices.Concat(first, g.after[prefix+"@"+path.Ext(unit)])
	}
	if kind := path.Ext(unit); (kind == ".service" || kind == ".timer") && !g.loose[unit] {
		first = slices.Concat(first, []string{"basic.target", "sysinit.target"})
	}
	return first
}

// wait says why a start of unit has to wait for the start of one of others; "" where
// it does not.
func (g *ordering) wait(unit string, others ...string) string {
	unit = g.name(unit)
	for i := range others {
		others[i] = g.name(others[i])
	}
	if slices.Contains(others, unit) {
		return "it is a unit of the app"
	}
	seen := map[string]bool{unit: true}
	for queue := []string{unit}; len(queue) > 0; queue = queue[1:] {
		for _, next := range g.waitsFor(queue[0]) {
			next = g.name(next)
			switch {
			case slices.Contains(others, next) && queue[0] == unit:
				return fmt.Sprintf("%s starts after %s", unit, next)
			case slices.Contains(others, next):
				return fmt.Sprintf("%s starts after %s, and that after %s", unit, queue[0], next)
			case !seen[next]:
				seen[next] = true
				queue = append(queue, next)
			}
		}
	}
	return ""
}
