package amis

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"koboshi/artifacts"
)

// Carried is what an AMI carries of one app.
type Carried struct {
	Name     string // of its configuration, NAME.toml; "" = koboshi.toml
	App      string
	Version  string
	Manifest artifacts.Digest
	Sequence int64 // of the channel's pointer, as it was seen while baking
	Channel  string
	Baked    time.Time // when that pointer was seen
	Agent    string    // the version of koboshi in the AMI; "" = not known
}

// Tag is a tag as EC2 has it.
type Tag struct {
	Key   string
	Value string
}

const prefix = "koboshi:"

// The last words of the keys.
const (
	app      = "app"
	version  = "version"
	manifest = "manifest"
	sequence = "sequence"
	channel  = "channel"
	baked    = "baked"
	agent    = "agent"
)

// Tags are the tags of an AMI that carries it.
func (c Carried) Tags() []Tag {
	return []Tag{
		{c.key(app), c.App},
		{c.key(version), c.Version},
		{c.key(manifest), c.Manifest.String()},
		{c.key(sequence), strconv.FormatInt(c.Sequence, 10)},
		{c.key(channel), c.Channel},
		{c.key(baked), c.Baked.UTC().Format(time.RFC3339)},
		{c.key(agent), c.Agent},
	}
}

// carried reads the tags of one configuration, by the last words of their keys.
func carried(name string, tags map[string]string) (c Carried, err error) {
	c = Carried{Name: name, App: tags[app], Version: tags[version], Channel: tags[channel], Agent: tags[agent]}
	fault := func(word string, err error) (Carried, error) {
		key := Carried{Name: name}.key(word)
		if _, given := tags[word]; !given {
			return c, fmt.Errorf("the tag %s is missing", key)
		}
		return c, fmt.Errorf("the tag %s: %w", key, err)
	}
	if err := artifacts.CheckName(c.App); err != nil {
		return fault(app, err)
	}
	if err := artifacts.CheckVersion(c.Version); err != nil {
		return fault(version, err)
	}
	if err := c.Manifest.UnmarshalText([]byte(tags[manifest])); err != nil {
		return fault(manifest, err)
	}
	if c.Sequence, err = strconv.ParseInt(tags[sequence], 10, 64); err != nil || c.Sequence < 1 {
		return fault(sequence, fmt.Errorf("%.40q is no sequence", tags[sequence]))
	}
	if err := artifacts.CheckName(c.Channel); err != nil {
		return fault(channel, err)
	}
	if c.Baked, err = time.Parse(time.RFC3339, tags[baked]); err != nil {
		return fault(baked, fmt.Errorf("%.40q is no time such as 2026-11-21T10:00:00Z", tags[baked]))
	}
	c.Baked = c.Baked.UTC()
	if err := artifacts.CheckMinAgent(c.Agent); err != nil {
		return fault(agent, err)
	}
	return c, nil
}

// key is the key of a tag, by its last word.
func (c Carried) key(word string) string {
	if c.Name == "" {
		return prefix + word
	}
	return prefix + c.Name + ":" + word
}

// split takes a tag's key apart; false where it is none of these.
func split(key string) (name, word string, ok bool) {
	rest, ok := strings.CutPrefix(key, prefix)
	if !ok {
		return "", "", false
	}
	if before, after, several := strings.Cut(rest, ":"); several {
		name, rest = before, after
		if artifacts.CheckVersion(name) != nil { // a configuration's may have capitals and _, too
			return "", "", false
		}
	}
	switch rest {
	case app, version, manifest, sequence, channel, baked, agent:
		return name, rest, true
	}
	return "", "", false
}
