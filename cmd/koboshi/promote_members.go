package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"koboshi/agent/instance"
	"koboshi/artifacts"
)

// membersJSON is who of a list of instances is in a rollout.
type membersJSON struct {
	Of int      `json:"of"` // so many instances
	In []string `json:"in"`
}

// readMembers finds out who of the instances in the file of --show-members would get
// the release; nil without that flag.
func (c *cli) readMembers(o promoteOptions) (*membersJSON, error) {
	if o.members == "" {
		return nil, nil
	}
	ids, err := readInstances(o.members, o.stdin())
	if err != nil {
		return nil, usage(fmt.Errorf("--show-members: %w", err))
	}
	m := membersJSON{Of: len(ids), In: []string{}}
	for _, id := range ids {
		if artifacts.Member(o.app, o.channel, o.version, id, o.percent) {
			m.In = append(m.In, id)
		}
	}
	return &m, nil
}

// readInstances reads a list of instances from a file, or with - from standard input.
func readInstances(name string, stdin io.Reader) ([]string, error) {
	if name == "-" {
		return instance.ReadIDs(stdin)
	}
	f, err := os.Open(filepath.Clean(name))
	if err != nil {
		return nil, unreadable(name, err)
	}
	defer func() { _ = f.Close() }() // only read
	ids, err := instance.ReadIDs(f)
	if err != nil {
		err = unreadable(name, err)
	}
	return ids, err
}

// members lists who gets a release.
func (u *ui) members(version string, percent int, m membersJSON) {
	u.printf("%s to %d %%: %d of %s would get it\n", version, percent, len(m.In), count(m.Of, "instance", "instances"))
	for _, id := range m.In {
		u.printf("%s\n", id)
	}
	if len(m.In) == 0 {
		u.warn("no instance would get it: of few instances a small share may be none; take a higher --percent, or a channel of its own for these instances")
	}
}
