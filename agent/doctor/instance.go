package doctor

import (
	"errors"
	"time"

	"koboshi/agent/config"
	"koboshi/agent/instance"
	"koboshi/agent/report"
)

// checkMetadata is about IMDSv2 only. Whether v1 is answered too is not
// asked: the request would count in the metric MetadataNoToken, on which others
// have alarms.
func checkMetadata(f *facts) []Finding {
	err := f.who.err
	switch {
	case err == nil:
		return fine("IMDSv2 answers: %s in %s", f.who.value.ID, f.who.value.AZ)
	case errors.Is(err, instance.ErrHopLimit):
		return failure("raise HttpPutResponseHopLimit to 2 where koboshi runs in a container", "IMDSv2 returns no token, as with a hop limit that is too low: %v", err)
	case errors.Is(err, instance.ErrDisabled):
		return failure("set HttpEndpoint=enabled on the instance and in its launch template", "%v", err)
	case errors.Is(err, instance.ErrMalformed):
		return failure("the answer is not EC2's metadata: check for a proxy or another cloud", "%v", err)
	}
	return failure("is this an EC2 instance? check firewall and routes to 169.254.169.254", "%v", err)
}

func checkTags(f *facts) []Finding {
	err := f.tags.err
	switch {
	case errors.Is(err, instance.ErrTagsOff) && len(f.Config.Channels) > 1:
		return warning("set InstanceMetadataTags=enabled in the launch template, or keep one channel in channels", "tags are not in the metadata: no tag can choose among the channels %q", f.Config.Channels)
	case errors.Is(err, instance.ErrTagsOff):
		return fine("tags are not in the metadata: what is baked counts")
	case errors.Is(err, instance.ErrHostileTag):
		return warning("correct the tag; until then what is baked counts", "%v", err)
	case err != nil:
		return unknown(err)
	}
	var out []Finding
	for _, w := range f.warnings {
		out = append(out, warning("correct the tag, or allow the channel in channels", "%s", w)...)
	}
	if channel, chosen := f.tags.value[config.TagChannel]; chosen && len(out) == 0 {
		return fine("tags are in the metadata, and %s chooses %s", config.TagChannel, channel)
	}
	return append(out, fine("tags are in the metadata; the channel is %s", f.config.Channel)...)
}

// soon is how long before their end credentials should have been renewed.
const soon = time.Minute

func checkCredentials(f *facts) []Finding {
	c := f.credentials.value
	attach := "attach an instance profile, or wait some seconds after a launch"
	switch {
	case errors.Is(f.credentials.err, instance.ErrNoCredentials):
		return failure(attach, "%v", f.credentials.err)
	case f.credentials.err != nil:
		return unknown(f.credentials.err)
	case c.Expires.IsZero():
		return fine("credentials come from %s and do not expire", c.From)
	case c.Expires.Before(f.Now):
		return failure("their source should have renewed them", "credentials from %s expired at %s", c.From, c.Expires.UTC().Format(time.RFC3339))
	case c.Expires.Before(f.Now.Add(soon)):
		return warning("their source should renew them soon", "credentials from %s expire at %s", c.From, c.Expires.UTC().Format(time.RFC3339))
	}
	return fine("credentials come from %s and are valid until %s", c.From, c.Expires.UTC().Format(time.RFC3339))
}

// How far a clock may be off: AWS refuses requests that were signed a quarter
// of an hour away from its own time.
const (
	skewWarns   = 5 * time.Minute
	skewRefused = 15 * time.Minute
)

func checkClock(f *facts) []Finding {
	set := "start chronyd or systemd-timesyncd; Amazon's time is at 169.254.169.123"
	if f.clock.err != nil {
		return f.clockByPointer(set)
	}
	off, side := f.clock.value, "ahead"
	if off < 0 {
		off, side = -off, "behind"
	}
	switch {
	case off > skewRefused:
		return failure(set, "the clock is %s %s: AWS refuses requests, and expiry is misjudged", report.Duration(off), side)
	case off > skewWarns:
		return warning(set, "the clock is %s %s", report.Duration(off), side)
	}
	return fine("the clock agrees with AWS's to within %d minutes", skewWarns/time.Minute)
}

// clockByPointer is the judgement where no answer had a time: nothing was signed
// in the future.
func (f *facts) clockByPointer(set string) []Finding {
	if f.pointer.err != nil {
		return unknown(f.clock.err)
	}
	if behind := f.pointer.value.Pointer().Issued.Sub(f.Now); behind > skewWarns {
		return warning(set, "the clock is at least %s behind: the channel's pointer was signed later than now", report.Duration(behind))
	}
	return fine("the clock is not before the signing of the channel's pointer; no other answer had a time")
}
