package doctor

import (
	"path/filepath"
	"strings"
)

// checkApps looks at what the other apps on the machine have in common with this
// one. Where there are none it does not apply.
func checkApps(f *facts) []Finding {
	var found []Finding
	var names []string
	for _, other := range f.Others {
		names = append(names, filepath.Base(other.File))
		if other.Err != nil {
			found = append(found, warning("koboshi config check --config "+other.File, "not compared with another app: %v", other.Err)...)
		}
		for _, o := range other.Overlaps {
			judge := warning
			if o.Fatal {
				judge = failure
			}
			found = append(found, judge(o.Err.Hint, "%v", o.Err)...)
		}
	}
	if len(found) == 0 && len(names) > 0 {
		return fine("has directories, units, port and lifecycle hook for itself, next to %s", strings.Join(names, ", "))
	}
	return found
}
