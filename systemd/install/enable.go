package install

import (
	"io/fs"
	"strings"

	"koboshi/systemd"
)

// wantedBy lists the links that enable one of [systemd.Units], as absolute
// paths: what "systemctl enable" reads from WantedBy=.
func wantedBy(unit string) ([]string, error) {
	text, err := fs.ReadFile(systemd.Units(), unit)
	if err != nil {
		return nil, err
	}
	var links []string
	for line := range strings.Lines(string(text)) {
		if targets, ok := strings.CutPrefix(strings.TrimSpace(line), "WantedBy="); ok {
			for _, target := range strings.Fields(targets) {
				links = append(links, UnitDir+"/"+target+".wants/"+unit)
			}
		}
	}
	return links, nil
}
