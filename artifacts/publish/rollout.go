package publish

import (
	"fmt"

	"koboshi/artifacts"
)

// RolloutError is a promotion that does not fit what the channel points to. Nothing
// was signed or written.
type RolloutError struct{ Why, Do string }

// Error says why.
func (e *RolloutError) Error() string { return e.Why }

// Advice is what can be done about it.
func (e *RolloutError) Advice() string { return e.Do }

func unfit(hint, format string, args ...any) error {
	return &RolloutError{Why: fmt.Sprintf(format, args...), Do: hint}
}

const insist = "widen it with a higher --percent, end it with --percent 100, or drop it with --abort; --force insists"

// aim is what the pointer shall point to: what it points to now, changed as the
// promotion says. manifest is that of Version, zero for an abort.
func (p Promotion) aim(previous *artifacts.VerifiedPointer, manifest artifacts.Digest) (artifacts.Pointer, error) {
	if p.Abort || p.Percent != 0 && p.Percent < 100 {
		if previous == nil {
			return artifacts.Pointer{}, unfit("promote a version without --percent first: it is what the other instances get", "channel %s is new: there is nothing to roll out from", p.Channel)
		}
	}
	if previous == nil {
		return artifacts.Pointer{Version: p.Version, ManifestSHA256: manifest}, nil
	}
	is := previous.Pointer()
	aim := artifacts.Pointer{Version: is.Version, ManifestSHA256: is.ManifestSHA256, Next: is.Next}
	if err := p.fits(is, manifest); err != nil {
		return aim, err
	}
	switch {
	case p.Abort:
		aim.Next = nil
	case p.Percent != 0 && p.Percent < 100:
		aim.Next = &artifacts.Next{Version: p.Version, ManifestSHA256: manifest, Percent: p.Percent}
	case p.Version == is.Version && manifest == is.ManifestSHA256: // signed again, whatever is rolled out
	default:
		aim.Version, aim.ManifestSHA256, aim.Next = p.Version, manifest, nil
	}
	return aim, nil
}

// fits reports why the promotion does not fit the pointer.
func (p Promotion) fits(is artifacts.Pointer, manifest artifacts.Digest) error {
	next := is.Next
	current := p.Version == is.Version && manifest == is.ManifestSHA256
	switch {
	case p.Abort && next == nil:
		return unfit("koboshi releases shows what each channel points to", "channel %s has no rollout: it points to %s for all instances", p.Channel, is.Version)
	case p.Abort && p.Version != "" && p.Version != next.Version:
		return unfit("koboshi rollout status shows it", "channel %s rolls out %s by now, not %s: it was left as it is", p.Channel, next.Version, p.Version)
	case p.Abort:
		return nil
	case p.Percent != 0 && p.Percent < 100 && current:
		return unfit("name the version that is to be rolled out; --abort drops a rollout", "channel %s points to %s already", p.Channel, is.Version)
	case next == nil:
		return nil
	case p.Percent == 100 && current:
		return unfit("--abort drops it: all instances get the release that the channel points to", "%s is being rolled out in channel %s, to %d %%", next.Version, p.Channel, next.Percent)
	case p.Force, p.Percent == 0 && current:
		return nil
	case p.Version != next.Version || manifest != next.ManifestSHA256:
		return unfit(insist, "%s is being rolled out in channel %s, to %d %%", next.Version, p.Channel, next.Percent)
	case p.Percent != 0 && p.Percent < next.Percent:
		return unfit("--force makes it narrower: instances that have it go back", "%s is being rolled out in channel %s, to %d %% already", next.Version, p.Channel, next.Percent)
	}
	return nil
}
