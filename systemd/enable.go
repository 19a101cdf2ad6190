package systemd

import (
	"io/fs"
	"strings"
)

const (
	// UnitDir is where the units of an installed machine belong.
	UnitDir = "/etc/systemd/system"
	// BootUnit is the unit that runs koboshi at every start of the machine.
	BootUnit = "koboshi-boot.service"
)

// WantsDirs names the directories beneath [UnitDir] in which a link enables one
// of [Units]: what "systemctl enable" reads from WantedBy=.
func WantsDirs(unit string) ([]string, error) {
	text, err := fs.ReadFile(Units(), unit)
	if err != nil {
		return nil, err
	}
	var dirs []string
	for line := range strings.Lines(string(text)) {
		if targets, ok := strings.CutPrefix(strings.TrimSpace(line), "WantedBy="); ok {
			for _, target := range strings.Fields(targets) {
				dirs = append(dirs, target+".wants")
			}
		}
	}
	return dirs, nil
}
