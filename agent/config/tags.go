package config

import (
	"fmt"
	"maps"
	"slices"

	"koboshi/artifacts"
)

// The instance tags that koboshi reads, and what they may change. No tag can name
// a URL, a key, a path or a command.
const (
	TagChannel = "koboshi:channel"           // one of channels
	TagHold    = "koboshi:hold"              // why this machine keeps its release
	TagGroup   = "aws:autoscaling:groupName" // set by AWS
)

// maxHoldTag bounds the reason of a hold, in bytes.
const maxHoldTag = 120

// WithTags is the configuration with the instance's tags applied. A tag whose
// value is not allowed changes nothing and is returned as a warning.
func (c *Config) WithTags(tags map[string]string) (out *Config, warnings []string) {
	next := *c
	next.origins = maps.Clone(c.origins)
	if channel, ok := tags[TagChannel]; ok {
		if artifacts.CheckName(channel) == nil && slices.Contains(c.Channels, channel) {
			next.Channel = channel
			next.origins["channel"] = Origin{Tag: TagChannel}
		} else {
			warnings = append(warnings, fmt.Sprintf("tag %s is not one of the allowed channels %q: ignored", TagChannel, c.Channels))
		}
	}
	if group := tags[TagGroup]; group != "" && c.Lifecycle.Group == "" {
		next.Lifecycle.Group = group
		next.origins["lifecycle.group"] = Origin{Tag: TagGroup}
	}
	next.HoldTag = tags[TagHold]
	if len(next.HoldTag) > maxHoldTag {
		next.HoldTag = next.HoldTag[:maxHoldTag]
	}
	return &next, warnings
}
