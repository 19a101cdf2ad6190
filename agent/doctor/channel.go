package doctor

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"koboshi/agent/instance"
	"koboshi/agent/report"
	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/s3"
)

// checkSources reads the channel of each source: that is s3:GetObject, tried.
func checkSources(f *facts) []Finding {
	if len(f.sources) == 0 {
		return unknown(f.pointer.err)
	}
	key := artifacts.PointerKey(f.config.Channel)
	var out []Finding
	for _, s := range f.sources {
		err, where := s.pointer.err, s.name
		if s.way != "" {
			where += " (" + s.way + ")"
		}
		switch {
		case err == nil:
			out = append(out, fine("%s: %s is readable", where, key)...)
		case noBucket(err):
			out = append(out, failure("compare the bucket's name with source: koboshi config show", "%s: there is no such bucket", where)...)
		case errors.Is(err, bucket.ErrNotFound):
			out = append(out, failure("koboshi promote makes it; koboshi releases lists what is published", "%s: there is no %s", where, key)...)
		case errors.Is(err, bucket.ErrDenied):
			out = append(out, failure("allow s3:GetObject on the app's prefix; koboshi iam-policy prints what is needed", "%s: %v", where, err)...)
		case errors.Is(err, instance.ErrNoCredentials):
			out = append(out, unknown(err)...)
		default:
			out = append(out, failure("check route, VPC endpoint, proxy and DNS", "%s: %v", where, err)...)
		}
	}
	return out
}

// noBucket matches a bucket that is not there, which S3 answers with 404 as for an
// object.
func noBucket(err error) bool {
	e, ok := errors.AsType[*s3.Error](err)
	return ok && e.Code == "NoSuchBucket"
}

// checkListing is about s3:ListBucket, without which S3 answers "denied" for an
// object that does not exist.
func checkListing(f *facts) []Finding {
	var out []Finding
	for _, s := range f.sources {
		err := s.list.err
		switch {
		case err == nil:
			out = append(out, fine("%s: a missing object can be told from a forbidden one", s.name)...)
		case errors.Is(err, errors.ErrUnsupported):
			out = append(out, fine("%s: has no lists, and needs none", s.name)...)
		case errors.Is(err, bucket.ErrDenied):
			out = append(out, warning("allow s3:ListBucket on the bucket to distinguish them", "%s: a missing object looks like a forbidden one", s.name)...)
		default:
			out = append(out, unknown(fmt.Errorf("%s: %w", s.name, err))...)
		}
	}
	if len(out) == 0 {
		return unknown(f.pointer.err)
	}
	return out
}

// checkSignatures tries the trusted keys one by one on what each source has, so
// that a rotation that went half-way shows.
func checkSignatures(f *facts) []Finding {
	var out []Finding
	for _, s := range f.sources {
		if s.pointer.err == nil {
			out = append(out, f.signatures(s)...)
		}
	}
	if len(out) == 0 {
		return unknown(f.pointer.err)
	}
	return out
}

func (f *facts) signatures(s sourceFacts) []Finding {
	var by []string
	keys, want := f.promoters()
	absent := 0 // of those that sign something
	for _, key := range keys {
		trust, err := artifacts.NewTrust(f.Agent, 1, key)
		if err != nil {
			return unknown(err)
		}
		if _, err := trust.Pointer(s.pointer.value, f.config.App, f.config.Channel); err == nil || errors.Is(err, artifacts.ErrTooOld) {
			by = append(by, key.Short())
		} else if !f.idle(key) {
			absent++
		}
	}
	text := fmt.Sprintf("%s: signed by %d of %d trusted keys (%s), %d needed", s.name, len(by), len(keys), strings.Join(by, ", "), want)
	if len(by) == 0 {
		text = fmt.Sprintf("%s: signed by none of %d trusted keys, %d needed", s.name, len(keys), want)
	}
	switch {
	case len(by) < want:
		return failure("sign with the keys in trust.keys, or where it is set trust.promote_keys: koboshi promote again, or koboshi sign", "%s", text)
	case absent > 0:
		return warning("have the other keys sign the channel too, in each source: koboshi sign", "%s", text)
	}
	return fine("%s", text)
}

// promoters are the keys that may sign a pointer, and how many of them must have.
func (f *facts) promoters() ([]artifacts.PublicKey, int) {
	if len(f.Promoters) > 0 {
		return f.Promoters, f.Config.Trust.Promoters()
	}
	return f.Keys, f.Config.Trust.Threshold
}

// checkKeys is about each trusted key: what the channel and its release are signed by,
// and which key signs nothing any more.
func checkKeys(f *facts) []Finding {
	if err := cmp.Or(f.pointer.err, f.manifest.err); err != nil {
		return unknown(err)
	}
	moved, published := f.signers()
	out := fine("channel %s is signed by %s, %s by %s", f.config.Channel, strings.Join(moved, ", "), f.manifest.value.Manifest().Version, strings.Join(published, ", "))
	for _, key := range slices.Concat(f.Keys, f.Promoters) {
		if f.idle(key) {
			out = append(out, warning("if it is not the next one, take it out of the configuration: koboshi help security has the walk", "key %s is trusted, and signs neither the channel nor its release", key.Short())...)
		}
	}
	return out
}

// signers are the keys that have signed the channel, and its release, of those that may.
func (f *facts) signers() (moved, published []string) {
	promoters, _ := f.promoters()
	for _, key := range promoters {
		if f.movedBy(key) {
			moved = append(moved, key.Short())
		}
	}
	for _, key := range f.Keys {
		if f.publishedBy(key) {
			published = append(published, key.Short())
		}
	}
	return moved, published
}

// idle reports whether a key signs nothing: checkKeys names it then, and no other check.
func (f *facts) idle(key artifacts.PublicKey) bool {
	if f.pointer.err != nil || f.manifest.err != nil {
		return false
	}
	moved, published := f.signers()
	return !slices.Contains(slices.Concat(moved, published), key.Short())
}

// movedBy reports whether a key, by itself, has signed the pointer.
func (f *facts) movedBy(key artifacts.PublicKey) bool {
	trust, err := artifacts.NewTrust(f.Agent, 1, key)
	if err == nil {
		_, err = trust.Pointer(f.pointer.value.Envelope(), f.config.App, f.config.Channel)
	}
	return err == nil
}

// publishedBy reports whether a key, by itself, has signed the release's manifest.
func (f *facts) publishedBy(key artifacts.PublicKey) bool {
	trust, err := artifacts.NewTrust(f.Agent, 1, key)
	if err == nil {
		m := f.manifest.value.Manifest()
		_, err = trust.Manifest(f.manifest.value.Envelope(), artifacts.Reference{App: m.App, Version: m.Version})
	}
	return err == nil
}

// checkChannel is about binding and sequence: what a run checks of the pointer once
// its signatures are verified.
func checkChannel(f *facts) []Finding {
	switch err := f.pointer.err; {
	case errors.Is(err, artifacts.ErrTooOld):
		return failure("update koboshi in the AMI", "channel %s: %v", f.config.Channel, err)
	case errors.Is(err, artifacts.ErrUntrusted):
		return failure("compare trust.keys, app and channel with those of the promotion: koboshi config show", "channel %s: %v", f.config.Channel, err)
	case err != nil:
		return unknown(err)
	}
	p := f.pointer.value.Pointer()
	if err := f.state.value.Sequence(p.Channel).Admit(f.pointer.value.Sequence(), f.Config.Trust.Floor[p.Channel]); err != nil {
		return failure("the bucket has an older pointer than before: koboshi promote makes a newer one", "channel %s: %v", p.Channel, err)
	}
	mine := p.Choose(f.who.value.ID)
	return fine("channel %s points to %s, sequence %d%s", p.Channel, mine.Version, p.Sequence, f.inStep(mine))
}

func (f *facts) inStep(p artifacts.Reference) string {
	switch current := f.current.value; {
	case current == nil:
		return ""
	case current.ManifestSHA256 == p.ManifestSHA256:
		return ", which runs here"
	default:
		return ", while " + current.Version + " runs here"
	}
}

// checkRollout is about the release that a share of the instances gets: whether this
// one is among them, and why.
func checkRollout(f *facts) []Finding {
	if f.pointer.err != nil {
		return nil // checkChannel says so
	}
	p, id := f.pointer.value.Pointer(), f.who.value.ID
	if p.Next == nil {
		return nil
	}
	text := fmt.Sprintf("%s is rolled out to %d %% of channel %s: ", p.Next.Version, p.Next.Percent, p.Channel)
	if f.who.err != nil {
		return warning("", "%swhether to this instance is not known without its id: %v", text, f.who.err)
	}
	in := "is not in, and gets " + p.Version
	if p.InRollout(id) {
		in = "is in"
	}
	return fine("%sthis instance %s; its place is %d, those below %d are in", text, in, artifacts.Place(p.App, p.Channel, p.Next.Version, id), p.Next.Percent)
}

// renewBy is how long before its end a pointer should be signed again.
const renewBy = 7 * 24 * time.Hour

func checkExpiry(f *facts) []Finding {
	if f.pointer.err != nil {
		return unknown(f.pointer.err)
	}
	p := f.pointer.value.Pointer()
	again := "promote the version again: that signs it with a new expiry"
	switch {
	case p.Expires.IsZero():
		return fine("the pointer does not expire")
	case f.pointer.value.CheckExpiry(f.Now) != nil:
		return failure(again, "the pointer expired at %s", p.Expires.UTC().Format(time.RFC3339))
	case p.Expires.Sub(f.Now) < renewBy:
		return warning(again, "the pointer expires within %d days, at %s", renewBy/(24*time.Hour), p.Expires.UTC().Format(time.RFC3339))
	}
	return fine("the pointer is valid until %s", p.Expires.UTC().Format(time.RFC3339))
}

// checkRelease is about the manifest: verified, for this agent, for this
// platform.
func checkRelease(f *facts) []Finding {
	err := f.manifest.err
	switch {
	case errors.Is(err, artifacts.ErrTooOld):
		return failure("update koboshi in the AMI before releases need it", "this is koboshi %s: %v", f.Agent, err)
	case errors.Is(err, artifacts.ErrUntrusted):
		return failure("publish and promote the version again with the keys in trust.keys", "%v", err)
	case errors.Is(err, bucket.ErrNotFound), errors.Is(err, bucket.ErrDenied):
		return failure("publish the version, or promote one that is published: koboshi releases", "the channel points to %s, whose manifest is unavailable: %v", f.pointer.value.Choose(f.who.value.ID).Version, err)
	case err != nil:
		return unknown(err)
	}
	m := f.manifest.value.Manifest()
	if _, err := m.Artifact(f.OS, f.Arch); err != nil {
		return failure("publish the version for this platform too: --platform os/arch=PATH", "%v", err)
	}
	return fine("%s was published for %s/%s%s", m.Version, f.OS, f.Arch, minAgent(m, f.Agent))
}

func minAgent(m artifacts.Manifest, own string) string {
	if m.MinAgent == "" {
		return ""
	}
	return fmt.Sprintf(" and needs koboshi %s, this is %s", m.MinAgent, own)
}

// checkSpace is about the disk, at the release's signed upper limits.
func checkSpace(f *facts) []Finding {
	switch err := f.space.err; {
	case err == nil:
		a, _ := f.manifest.value.Manifest().Artifact(f.OS, f.Arch) // or the question had failed
		return fine("there is space for %s: %s, entries: %d", f.manifest.value.Manifest().Version, report.Bytes(a.UnpackedBytes), a.Entries)
	case errors.Is(err, fs.ErrNotExist):
		return warning("koboshi boot creates it", "not checked: %s does not exist yet", f.Config.Install.Root)
	case errors.Is(err, artifacts.ErrNoPlatform), errors.Is(err, fs.ErrPermission), f.manifest.err != nil:
		return unknown(err)
	default:
		return failure("check df -h and df -i of install.root, and install.keep", "%v", err)
	}
}
