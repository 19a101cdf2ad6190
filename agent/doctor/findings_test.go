package doctor

import (
	"errors"
	"fmt"
	"os/user"
	"slices"
	"strings"
	"testing"
	"time"

	"koboshi/agent/balancer"
	"koboshi/agent/config"
	"koboshi/agent/flush"
	"koboshi/agent/health"
	"koboshi/agent/instance"
	"koboshi/agent/lifecycle"
	"koboshi/agent/report"
	"koboshi/agent/service"
	"koboshi/agent/state"
	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/buckettest"
	"koboshi/artifacts/bucket/s3"
	"koboshi/artifacts/store"
	"koboshi/systemd"
)

// imaged is a machine that takes images.
func imaged(w *world) { w.settings = "install.images = \"auto\"\n" }

// byCommand is a drop-in for an app without a unit.
const byCommand = "service.unit = \"\"\nservice.restart = [\"/etc/init.d/web\", \"restart\"]\n"

// several is a drop-in for an app of several units.
const several = "service.unit = \"\"\nservice.units = [\"web.service\", \"worker.service\"]\n"

// draining is a drop-in with a target group, and flushing one with a log shipper.
const (
	draining = "drain.target_groups = [\"arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/web/0123456789abcdef\"]\n"
	flushing = "[drain.flush.app]\nkind = \"wait\"\nfor = \"30s\"\n"
)

// rollsOut is a world where 1.5.0 is rolled out.
func rollsOut(percent int) func(*world) {
	return func(w *world) {
		w.pointer.Next = &artifacts.Next{Version: "1.5.0", ManifestSHA256: artifacts.Sum([]byte("1.5.0")), Percent: percent}
	}
}

// drained is a world whose app was taken out of service.
func drained(failed *report.Error) func(*world) {
	return func(w *world) {
		w.report.Command, w.report.Verdict, w.report.Error = "drain", report.Drained, failed
		w.report.Drain = &report.Drain{Reason: "terminated"}
		w.report.Lifecycle = report.Lifecycle{Hook: "koboshi-terminating", Result: "CONTINUE"}
		w.sick = errAway
		w.unit.Active, w.unit.Sub = "inactive", "dead"
	}
}

// reporting is a world that writes health records.
func reporting(spoil func(*world)) func(*world) {
	return func(w *world) {
		w.settings = "fleet.report = true\n"
		spoil(w)
	}
}

// pooled is one in a warm pool.
func pooled(w *world) {
	w.state.Signalled.Pooled, w.sick = true, errAway
	w.current.HealthyOn = func(string) bool { return false }
}

// looksLike gives the world a log shipper.
func looksLike(kind string, a flush.Answer) func(*world) {
	return func(w *world) { w.shippers = []flusher{shipper{kind, a}} }
}

func TestFindings(t *testing.T) {
	second, err := artifacts.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name  string
		spoil func(*world)
		check string
		level Level
		text  string
	}{
		{"records", reporting(func(*world) {}), "health-report", OK, "health records can be written to s3://acme/apps; none was written yet"},
		{"records that were written", reporting(func(w *world) { w.state.Reported = &state.Reported{Key: "health/x\x1b[2J", At: now.Add(-time.Hour)} }), "health-report", OK,
			"health records can be written to s3://acme/apps; the last change was 1 h 00 min ago"},
		{"records denied", reporting(func(w *world) { w.records.Fail(buckettest.Fault{Op: buckettest.Put, Err: bucket.ErrDenied}) }), "health-report", Warn,
			"s3://acme/apps takes no health record of this instance: put health/probe-i-0123456789abcdef0: access denied"},
		{"records without credentials", reporting(func(w *world) { w.connectErr = errAway }), "health-report", Warn, "not checked: no connection to AWS: connection refused"},
		{"records that are kept in spite of the condition", reporting(func(w *world) { w.records.IgnoreConditions() }), "health-report", OK, "can be written"},
		{"records of nobody", reporting(func(w *world) { w.whoErr = errAway }), "health-report", Warn, "not checked"},
		{"never run", func(w *world) { w.reportErr = errAbsent }, "last-run", Warn, "koboshi has not run here yet"},
		{"report damaged", func(w *world) { w.reportErr = report.ErrDamaged }, "last-run", Warn, "not checked: damaged"},
		{"report of another", func(w *world) { w.report.Instance.ID = "i-0aaaaaaaaaaaaaaaa" }, "last-run", Warn, "on another instance, i-0aaaaaaaaaaaaaaaa"},
		{"current", func(w *world) { w.report.Verdict = report.Current }, "last-run", OK, "found 1.4.2 installed, as the channel wants"},
		{"stale", func(w *world) {
			w.report.Verdict, w.report.Target = report.Stale, &report.Release{Version: "1.5.0"}
			w.report.Error = &report.Error{Code: 13, Message: "read it: denied", Hint: "allow it"}
		}, "last-run", Warn, "could not install what the channel points to (1.5.0); 1.4.2 keeps running; error: read it: denied"},
		{"held", func(w *world) { w.report.Verdict = report.Held }, "last-run", Warn, "kept 1.4.2 running, since it is held"},
		{"failed", func(w *world) {
			w.report.Verdict, w.report.Target = report.Failed, &report.Release{Version: "1.5.0"}
			w.report.Error = &report.Error{Code: 20, Message: "unhealthy", Hint: "look"}
			w.report.Lifecycle = report.Lifecycle{Hook: "koboshi-launching", Result: "ABANDON"}
		}, "last-run", Fail, "failed to bring up 1.5.0; 1.4.2 is current; lifecycle hook koboshi-launching: ABANDON; error: unhealthy"},
		{"failed with nothing", func(w *world) {
			w.report.Verdict, w.report.Release = report.Failed, nil
			w.report.Error = &report.Error{Message: "no", Hint: "look"}
		}, "last-run", Fail, "failed; no release is running"},
		{"slow", func(w *world) {
			w.report.MS, w.report.Steps = 60_000, []report.Step{{Name: "resolve", MS: 9000}, {Name: "gate", MS: 45_000}}
		}, "last-run", OK, "most of the time was spent in gate: 45.0 s of 1 min 00 s"},
		{"warned", func(w *world) { w.report.Warnings = []string{"a tag was\x1b[31m refused"} }, "last-run", Warn, "its warning: a tag was refused"},

		{"no metadata", func(w *world) { w.whoErr = instance.ErrUnreachable }, "metadata", Fail, "cannot be reached"},
		{"metadata off", func(w *world) { w.whoErr = instance.ErrDisabled }, "metadata", Fail, "is disabled"},
		{"hop limit", func(w *world) { w.whoErr = instance.ErrHopLimit }, "metadata", Fail, "hop limit that is too low"},
		{"no metadata of EC2", func(w *world) { w.whoErr = instance.ErrMalformed }, "metadata", Fail, "not expected"},
		{"no metadata, so no tags", func(w *world) { w.whoErr = instance.ErrUnreachable }, "tags", Warn, "not checked: instance metadata did not answer"},
		{"tags off, several channels", func(w *world) { w.tags, w.tagsErr = nil, instance.ErrTagsOff }, "tags", Warn, "no tag can choose among"},
		{"tags off, one channel", func(w *world) { w.tags, w.tagsErr, w.settings = nil, instance.ErrTagsOff, "channels = [\"stable\"]\n" }, "tags", OK, "what is baked counts"},
		{"tag that is not allowed", func(w *world) { w.tags[config.TagChannel] = "evil" }, "tags", Warn, "not one of the allowed channels"},
		{"tag that chooses", func(w *world) { w.tags[config.TagChannel], w.pointer.Channel = "canary", "canary" }, "tags", OK, "koboshi:channel chooses canary"},
		{"hostile tag", func(w *world) { w.tagsErr = instance.ErrHostileTag }, "tags", Warn, "tag refused"},

		{"no role", func(w *world) { w.credentialsErr = instance.ErrNoCredentials }, "credentials", Fail, "no role credentials"},
		{"no role for the source", func(w *world) {
			w.lost["channels/stable.json"] = fmt.Errorf("read role: %w", instance.ErrNoCredentials)
		}, "source", Warn, "not checked: there are no credentials"},
		{"credentials not asked", func(w *world) { w.credentialsErr = errAway }, "credentials", Warn, "not checked: connection refused"},
		{"credentials expired", func(w *world) { w.credentials.Expires = now.Add(-time.Second) }, "credentials", Fail, "expired at 2026-11-21T11:59:59Z"},
		{"credentials expire", func(w *world) { w.credentials.Expires = now.Add(59 * time.Second) }, "credentials", Warn, "expire at 2026-11-21T12:00:59Z"},
		{"credentials for ever", func(w *world) { w.credentials.Expires = time.Time{} }, "credentials", OK, "do not expire"},

		{"clock a little ahead", func(w *world) { w.ahead = 5 * time.Minute }, "clock", OK, "agrees"},
		{"clock ahead", func(w *world) { w.ahead = 301 * time.Second }, "clock", Warn, "5 min 01 s ahead"},
		{"clock behind", func(w *world) { w.ahead = -301 * time.Second }, "clock", Warn, "5 min 01 s behind"},
		{"clock far behind", func(w *world) { w.ahead = -901 * time.Second }, "clock", Fail, "AWS refuses requests"},
		{"no time in answers", func(w *world) { w.timeless = true }, "clock", OK, "not before the signing"},
		{"clock before the pointer", func(w *world) { w.timeless, w.pointer.Issued = true, now.Add(6*time.Minute) }, "clock", Warn, "at least 6 min 00 s behind"},
		{"no time and no pointer", func(w *world) { w.timeless, w.lost["channels/stable.json"] = true, errAway }, "clock", Warn, "not checked: no answer had a time"},

		{"pointer denied", func(w *world) { w.lost["channels/stable.json"] = errDenied }, "source", Fail, "is not authorized"},
		{"no bucket", func(w *world) {
			w.lost["channels/stable.json"] = errors.Join(bucket.ErrNotFound, &s3.Error{Status: 404, Code: "NoSuchBucket"})
		}, "source", Fail, "there is no such bucket"},
		{"pointer missing", func(w *world) { w.lost["channels/stable.json"] = bucket.ErrNotFound }, "source", Fail, "there is no channels/stable.json"},
		{"bucket away", func(w *world) { w.lost["channels/stable.json"] = errAway }, "source", Fail, "connection refused"},
		{"not connected", func(w *world) { w.connectErr = errAway }, "source", Warn, "not checked: no connection to AWS: connection refused"},
		{"list denied", func(w *world) { w.lost[""] = errDenied }, "listing", Warn, "looks like a forbidden one"},
		{"no lists", func(w *world) { w.lost[""] = errors.ErrUnsupported }, "listing", OK, "has no lists"},
		{"list away", func(w *world) { w.lost[""] = errAway }, "listing", Warn, "not checked: s3://acme/apps: connection refused"},

		{"another key", func(w *world) { w.signers = []artifacts.PrivateKey{second} }, "signatures", Fail, "signed by none of 1 trusted keys"},
		{"half a rotation", func(w *world) {
			w.keys, w.signers, w.movers = append(w.keys, second), append(w.signers, second), w.keys
		}, "signatures", Warn, "signed by 1 of 2 trusted keys"},
		{"half a rotation is no idle key", func(w *world) {
			w.keys, w.signers, w.movers = append(w.keys, second), append(w.signers, second), w.keys
		}, "keys", OK, ", 1.4.2 by "},
		{"a key that the check keys names", func(w *world) { w.keys = append(w.keys, second) }, "signatures", OK, "signed by 1 of 2 trusted keys"},
		{"a key, and no manifest", func(w *world) { w.keys, w.lost["releases/1.4.2/manifest.json"] = append(w.keys, second), errAway }, "signatures", Warn, "signed by 1 of 2 trusted keys"},
		{"whole rotation", func(w *world) { w.keys, w.signers = append(w.keys, second), append(w.signers, second) }, "signatures", OK, "signed by 2 of 2"},
		{"a key signs nothing", func(w *world) { w.keys = append(w.keys, second) }, "keys", Warn, "signs neither the channel nor its release"},
		{"two keys sign", func(w *world) { w.keys, w.signers = append(w.keys, second), append(w.signers, second) }, "keys", OK, ", 1.4.2 by "},
		{"no pointer to see who signed", func(w *world) { w.lost["channels/stable.json"] = errAway }, "keys", Warn, "not checked"},
		{"a promoter has signed", func(w *world) { w.promoters, w.movers = []artifacts.PrivateKey{second}, []artifacts.PrivateKey{second} }, "signatures", OK, "signed by 1 of 1"},
		{"a promoter and a publisher", func(w *world) { w.promoters, w.movers = []artifacts.PrivateKey{second}, []artifacts.PrivateKey{second} }, "keys", OK, second.Public().ID()[:12] + ", 1.4.2 by "},
		{"the publisher has moved the channel", func(w *world) { w.promoters = []artifacts.PrivateKey{second} }, "signatures", Fail, "signed by none of 1"},
		{"the publisher's pointer", func(w *world) { w.promoters = []artifacts.PrivateKey{second} }, "channel", Fail, "verification failed"},
		{"no pointer to look at", func(w *world) { w.lost["channels/stable.json"] = errAway }, "signatures", Warn, "not checked: the channel could not be read"},
		{"verification failed", func(w *world) { w.signers = []artifacts.PrivateKey{second} }, "channel", Fail, "verification failed"},
		{"another channel", func(w *world) { w.pointer.Channel = "canary" }, "channel", Fail, "verification failed"},
		{"went back", func(w *world) {
			w.state.Sequences = map[string]state.Sequence{"stable": {Number: 8, Payload: artifacts.Sum(nil)}}
		}, "channel", Fail, "sequence 7"},
		{"below the floor", func(w *world) { w.settings = "trust.floor = { stable = 9 }\n" }, "channel", Fail, "sequence 7"},
		{"another runs", func(w *world) { w.current = &Tree{Version: "1.4.0", HealthyOn: w.current.HealthyOn} }, "channel", OK, "points to 1.4.2, sequence 7, while 1.4.0 runs here"},
		{"same version, other bytes", func(w *world) { w.pointer.Version = "1.4.2"; w.current.Version = "1.4.2-dirty" }, "channel", OK, "while 1.4.2-dirty runs here"},
		{"in step", func(*world) {}, "channel", OK, "which runs here"},
		{"rolled out to others", rollsOut(0), "rollout", OK, "1.5.0 is rolled out to 0 % of channel stable: this instance is not in, and gets 1.4.2; its place is "},
		{"rolled out to others, and in step", rollsOut(0), "channel", OK, "points to 1.4.2, sequence 7, which runs here"},
		{"rolled out to all", rollsOut(100), "rollout", OK, "this instance is in; its place is "},
		{"rolled out to all, and not here yet", rollsOut(100), "channel", OK, "points to 1.5.0, sequence 7, while 1.4.2 runs here"},
		{"rolled out, and not published", rollsOut(100), "release", Fail, "manifest of 1.5.0"},
		{"rolled out to who knows whom", func(w *world) { rollsOut(50)(w); w.whoErr = errors.New("silence") }, "rollout", Warn, "not known without its id"},
		{"expired", func(w *world) { w.pointer.Expires = now.Add(-time.Second) }, "expiry", Fail, "expired at 2026-11-21T11:59:59Z"},
		{"expires", func(w *world) { w.pointer.Expires = now.Add(7*24*time.Hour - time.Second) }, "expiry", Warn, "expires within 7 days, at 2026-11-28T11:59:59Z"},
		{"expires later", func(w *world) { w.pointer.Expires = now.Add(7 * 24 * time.Hour) }, "expiry", OK, "is valid until 2026-11-28T12:00:00Z"},

		{"manifest denied", func(w *world) { w.lost["releases/1.4.2/manifest.json"] = errDenied }, "release", Fail, "points to 1.4.2, whose manifest is unavailable"},
		{"manifest away", func(w *world) { w.lost["releases/1.4.2/manifest.json"] = errAway }, "release", Warn, "not checked: connection refused"},
		{"another manifest", func(w *world) { w.stranger = true }, "release", Fail, "verification failed"},
		{"agent too old", func(w *world) { w.manifest.MinAgent = "0.2.0" }, "release", Fail, "this is koboshi 0.1.0: "},
		{"agent new enough", func(w *world) { w.manifest.MinAgent = "0.1.0" }, "release", OK, "needs koboshi 0.1.0, this is 0.1.0"},
		{"another platform", func(w *world) { w.arch = "arm64" }, "release", Fail, "no artifact for this platform"},
		{"another platform takes no room", func(w *world) { w.arch = "arm64" }, "space", Warn, "not checked: web 1.4.2: no artifact"},
		{"no room", func(w *world) { w.spaceErr = &store.SpaceError{What: "inodes", Need: 2, Have: 1} }, "space", Fail, "inodes"},
		{"no root yet", func(w *world) { w.spaceErr = errAbsent }, "space", Warn, "/opt/koboshi/web does not exist yet"},
		{"not root", func(w *world) { w.spaceErr = errRoot }, "space", Warn, "not checked: open state.json: permission denied"},
		{"size not known", func(w *world) { w.lost["releases/1.4.2/manifest.json"] = errAway }, "space", Warn, "not checked: no manifest"},

		{"images", imaged, "mounts", OK, "images can be mounted, as far as can be seen: erofs, erofs-lz4, erofs-zstd, squashfs, squashfs-gzip"},
		{"one kind of images", func(w *world) { imaged(w); w.cannot = map[string]error{"squashfs": errAway} }, "mounts", Warn, "no squashfs is mounted here: connection refused"},
		{"another kind of images", func(w *world) { imaged(w); w.cannot = map[string]error{"squashfs": errAway} }, "mounts", OK, "seen: erofs"},
		{"images that were tried", func(w *world) { imaged(w); w.tried = true; w.cannot = map[string]error{"erofs-zstd": errAway} }, "mounts", OK, "a small one of each was: erofs, erofs-lz4, squashfs, squashfs-gzip"},
		{"images that are not sealed", func(w *world) { imaged(w); w.settings += "install.fsverity = true\n"; w.unsealed = errAway }, "mounts", Warn, "no image is protected here: connection refused"},
		{"labels", func(w *world) { imaged(w); w.enforced = true }, "mounts", Warn, "SELinux is enforcing"},
		{"labels that cannot be seen", func(w *world) { imaged(w); w.enforcedErr = errRoot }, "mounts", Warn, "permission denied"},

		{"its own places", func(*world) {}, "places", OK, "written to by no one else"},
		{"no places yet", func(w *world) { w.placeErr = errAbsent }, "places", OK, "written to by no one else"},
		{"open to others", func(w *world) { w.place.Changeable = "may be written to by every user (0777)" }, "places", Warn, "install.root /opt/koboshi/web: may be written to by every user"},
		{"mounted noexec", func(w *world) { w.place.NoExec = true }, "places", Warn, "mounted noexec"},
		{"mounted read-only", func(w *world) { w.place.ReadOnly = true }, "places", Fail, "mounted read-only"},
		{"places not readable", func(w *world) { w.placeErr = errRoot }, "places", Warn, "permission denied"},

		{"nothing installed", func(w *world) { w.current = nil }, "current", Warn, "no release is installed"},
		{"no store", func(w *world) { w.current, w.currentErr = nil, errAbsent }, "current", Warn, "no release is installed"},
		{"link to nowhere", func(w *world) {
			w.current, w.currentErr = nil, &store.LinkError{Link: "current", Target: "x", Err: errAway}
		}, "current", Fail, "connection refused"},
		{"not healthy here", func(w *world) { w.current.HealthyOn = func(string) bool { return false } }, "current", Warn, "has not passed the gate on this instance"},
		{"healthy where?", func(w *world) { w.whoErr = errAway }, "current", OK, "is not known"},
		{"no way back yet", func(w *world) { w.previous = nil }, "previous", OK, "nothing to go back to"},
		{"way back broken", func(w *world) { w.previousErr = errAway }, "previous", Warn, "connection refused"},
		{"held by tag", func(w *world) { w.tags[config.TagHold] = "debugging" }, "hold", Warn, "a tag holds this instance at its release: debugging"},
		{"held by hand", func(w *world) {
			w.state.Hold = &state.Hold{By: "root", Reason: "debugging", Until: now.Add(time.Hour)}
		}, "hold", Warn, "root holds this instance at its release until 2026-11-21T13:00:00Z: debugging"},
		{"held until a moment ago", func(w *world) { w.state.Hold = &state.Hold{By: "root", Reason: "x", Until: now.Add(-time.Second)} }, "hold", OK, "no hold"},
		{"another instance was held", func(w *world) {
			w.state.Instance, w.state.Hold = "i-0aaaaaaaaaaaaaaaa", &state.Hold{By: "root", Reason: "x"}
		}, "hold", OK, "no hold"},
		{"holds not readable", func(w *world) { w.stateErr = errRoot }, "hold", Warn, "permission denied"},
		{"ill", func(w *world) { w.sick = errAway }, "app", Fail, "not healthy now: connection refused"},
		{"no release", func(w *world) { w.sick, w.current = errAway, nil }, "app", Warn, "not checked: no release is installed"},

		{"the app answers", func(*world) {}, "listener", OK, "what answers is web.service"},
		{"not seen what answers", func(w *world) { w.answers = health.ErrUnseen }, "listener", Warn, "it may not be web.service that answers"},
		{"nothing that could answer", func(w *world) { w.sick, w.answers = errAway, health.ErrUnseen }, "listener", Warn, "not checked: the app is not healthy"},
		{"another one is healthy", func(w *world) { w.sick = health.ErrListener }, "app", Warn, "not checked: the app is not what answers"},
		{"another one answers", func(w *world) { w.answers = health.ErrListener }, "listener", Fail, "the app is not what answers"},
		{"started by a command", func(w *world) { w.settings = byCommand }, "listener", OK, "the process that answers can be seen"},
		{"started by a command, not seen", func(w *world) { w.settings, w.answers = byCommand, health.ErrUnseen }, "listener", Warn, "it may not be what the restart command started that answers"},
		{"anything may answer", func(w *world) { w.settings = "health.listener = \"any\"\n" }, "listener", OK, "whatever answers counts"},
		{"systemd does not know what answers", func(w *world) { w.answers = errAway }, "listener", Warn, "not checked: connection refused"},

		{"no systemd", func(w *world) { w.unitErr = systemd.ErrNotBooted }, "unit", Fail, "not booted with systemd"},
		{"no unit", func(w *world) { w.unitErr = systemd.ErrNoUnit }, "unit", Fail, "no such unit"},
		{"unit to come", func(w *world) {
			w.unitErr, w.current, w.settings = systemd.ErrNoUnit, nil, "service.unit_file = \"units/web.service\"\n"
		}, "unit", OK, "comes with the first release"},
		{"unit that should have come", func(w *world) {
			w.unitErr, w.settings = systemd.ErrNoUnit, "service.unit_file = \"units/web.service\"\n"
		}, "unit", Fail, "no such unit"},
		{"systemd silent", func(w *world) { w.unitErr = errAway }, "unit", Warn, "not checked: connection refused"},
		{"unit masked", func(w *world) { w.unit.Enabled = "masked" }, "unit", Fail, "is masked"},
		{"unit enabled", func(w *world) { w.unit.Enabled = "enabled" }, "unit", Warn, "is enabled"},
		{"unit failed", func(w *world) { w.unit.Active = "failed" }, "unit", Warn, "has failed"},
		{"unit stopped", func(w *world) { w.unit.Active, w.unit.Sub = "inactive", "dead" }, "unit", Warn, "is inactive (dead), while 1.4.2 is installed"},
		{"unit that waits for its first release", func(w *world) { w.unit.Active, w.current = "inactive", nil }, "unit", OK, "disabled as it should be"},
		{"unit with a mistake", func(w *world) { w.unit.Loaded = "bad-setting" }, "unit", Fail, "the unit cannot be started: web.service is bad-setting"},
		{"unit that cannot be reloaded", func(w *world) { w.settings = "service.reload = true\n" }, "unit", Fail, "service.reload is set, but the unit has no ExecReload=: web.service"},
		{"unit that can be reloaded", func(w *world) { w.settings, w.unit.Reloads = "service.reload = true\n", true }, "unit", OK, "web.service is active (running)"},
		{"one of several units", func(w *world) { w.settings, w.later.Active = several, "failed" }, "unit", Warn, "worker.service has failed"},
		{"one of several units that has ended", func(w *world) { w.settings, w.later.Active, w.later.Type = several, "inactive", "oneshot" }, "unit", OK, "worker.service is inactive"},
		{"several units", func(w *world) { w.settings = several }, "order", OK, "worker.service does not wait for koboshi-boot.service"},
		{"unit static", func(w *world) { w.unit.Enabled = "static" }, "unit", OK, "static as it should be"},
		{"ordered after us", func(w *world) { w.through = "web.service" }, "order", Fail, "a boot would wait for itself"},
		{"ordered through a target", func(w *world) { w.through, w.target.Active = "multi-user.target", "active" }, "order", Fail, "ordered after multi-user.target, and that after koboshi-boot.service, which starts it"},
		{"ordered through what no boot starts", func(w *world) { w.through = "rescue.target" }, "order", Warn, "a boot that starts both would wait for itself"},
		{"order not known", func(w *world) { w.unitErr = errAway }, "order", Warn, "not checked"},
		{"watched", func(*world) {}, "watch-unit", OK, "koboshi-watch.service is running, and stops after web.service and before rsyslog.service"},
		{"no watch unit", func(w *world) { w.watchErr = systemd.ErrNoUnit }, "watch-unit", Warn, "is not drained before it ends"},
		{"watch unit not enabled", func(w *world) { w.watch.Enabled = "disabled" }, "watch-unit", Warn, "is disabled"},
		{"watch unit has ended", func(w *world) { w.watch.Active, w.watch.Sub = "failed", "failed" }, "watch-unit", Warn, "is failed (failed)"},
		{"watch unit silent", func(w *world) { w.watchErr = errAway }, "watch-unit", Warn, "not checked: connection refused"},
		{"order of another configuration", func(w *world) { w.unordered = true }, "watch-unit", Warn, "is not that of the configuration"},
		{"order with a cycle", func(w *world) {
			w.order.LeftOut = []string{"rsyslog.service, since rsyslog.service starts after web.service"}
		},
			"watch-unit", Warn, "an ordering cycle would come of rsyslog.service, since rsyslog.service starts after web.service"},
		{"order unreadable", func(w *world) { w.orderErr = errRoot }, "watch-unit", Warn, "the order in which the machine stops"},
		{"no boot unit", func(w *world) { w.bootErr = systemd.ErrNoUnit }, "boot-unit", Warn, "does not run by itself"},
		{"boot unit not enabled", func(w *world) { w.boot.Enabled = "disabled" }, "boot-unit", Warn, "is disabled"},

		{"another app", func(*world) {}, "apps", OK, "for itself, next to api.toml"},
		{"another app of the same directories", func(w *world) {
			w.others[0].Overlaps = []config.Overlap{{Err: &config.Error{File: "/etc/koboshi/koboshi.toml", Err: errors.New("install.root: is taken"), Hint: "give each its own"}, Fatal: true}}
		}, "apps", Fail, "/etc/koboshi/koboshi.toml: install.root: is taken"},
		{"another app of the same hook", func(w *world) {
			w.others[0].Overlaps = []config.Overlap{{Err: &config.Error{Err: errors.New("waited for once"), Hint: "add one"}}}
		}, "apps", Warn, "waited for once"},
		{"another app that cannot be read", func(w *world) { w.others[0].Err = errAway }, "apps", Warn, "not compared with another app: connection refused"},

		{"hooks", func(*world) {}, "hook-user", OK, "the programs of 1.4.2 (hooks, health command) run as web"},
		{"one hook", func(w *world) { w.manifest.Hooks = artifacts.Hooks{PreStop: []string{"bin/drain"}} }, "hook-user", OK, "run as web"},
		{"only a health command", func(w *world) {
			w.manifest.Hooks, w.manifest.Health = artifacts.Hooks{}, artifacts.Health{Command: []string{"bin/check"}}
		}, "hook-user", OK, "run as web"},
		{"hooks of an unknown user", func(w *world) { w.hookUserErr = user.UnknownUserError("web") }, "hook-user", Warn, "run as web, a user that is not in /etc/passwd"},
		{"hooks without a user", func(w *world) { w.hookUserErr = service.ErrNoUser }, "hook-user", Fail, "cannot be run: the user"},
		{"hooks without the unit", func(w *world) { w.hookUserErr = systemd.ErrNoUnit }, "hook-user", Warn, "not checked: no such unit"},

		{"group denied", func(w *world) { w.group, w.groupOf = "", errRefused }, "group", Fail, "is unknown"},
		{"group denied, but named", func(w *world) { w.group, w.groupOf, w.settings = "", errRefused, "lifecycle.group = \"web\"\n" }, "group", Warn, "DescribeAutoScalingInstances is refused"},
		{"group away", func(w *world) { w.group, w.groupOf = "", errAway }, "group", Warn, "not checked: connection refused"},
		{"no group", func(w *world) { w.group = "" }, "group", OK, "in no Auto Scaling group"},
		{"no group, though named", func(w *world) { w.group, w.settings = "", "lifecycle.group = \"web\"\n" }, "group", Warn, "does not know this instance"},
		{"another group", func(w *world) { w.settings = "lifecycle.group = \"api\"\n" }, "group", Fail, "in group web, not in api"},
		{"whose group?", func(w *world) { w.whoErr = errAway }, "group", Warn, "unknown without metadata"},

		{"no hook", func(w *world) { w.hookErr = lifecycle.ErrNoHook }, "hook", Warn, "group web has no lifecycle hook koboshi-launching"},
		{"no hook, no beat", func(w *world) { w.hookErr = lifecycle.ErrNoHook }, "heartbeat", Warn, "not checked: no such lifecycle hook"},
		{"hook denied", func(w *world) { w.hookErr = errRefused }, "hook", Fail, "sends no heartbeats"},
		{"hook not known", func(w *world) { w.groupOf, w.group = errAway, "" }, "hook", Warn, "not checked"},
		{"no group, no hook", func(w *world) { w.group = "" }, "hook", OK, "no lifecycle action to complete"},
		{"hook too short for any boot", func(w *world) { w.timeout, w.settings = 30*time.Second, "lifecycle.deadline = \"51m\"\n" }, "hook", Fail, "ends after 50 min 00 s whatever is sent"},
		{"hook shorter than the spread", func(w *world) { w.timeout, w.settings = 5*time.Minute, "lifecycle.continue_jitter = \"5m\"\n" }, "hook", Fail, "only after lifecycle.heartbeat_after + lifecycle.continue_jitter (5 min 12 s)"},
		{"hook longer than the spread", func(w *world) { w.timeout, w.settings = 6*time.Minute, "lifecycle.continue_jitter = \"5m\"\n" }, "hook", OK, "waits 6 min 00 s"},
		{"hook just long enough", func(w *world) { w.timeout, w.settings = 30*time.Second, "lifecycle.deadline = \"50m\"\n" }, "hook", OK, "waits 30.0 s from heartbeat to heartbeat"},
		{"hook too short without beats", func(w *world) { w.beatErr = errRefused }, "hook", Fail, "since no heartbeat may be sent"},
		{"hook long enough without beats", func(w *world) { w.beatErr, w.timeout = errRefused, time.Hour }, "hook", OK, "waits 1 h 00 min"},
		{"hook for days", func(w *world) { w.timeout, w.settings = 2*time.Hour, "lifecycle.deadline = \"48h\"\n" }, "hook", OK, "48 h 00 min in all"},
		{"hook waits", func(w *world) { w.beatErr = nil }, "heartbeat", OK, "began anew"},
		{"beat denied", func(w *world) { w.beatErr = errRefused }, "heartbeat", Fail, "no heartbeat may be sent"},
		{"beat away", func(w *world) { w.beatErr = errAway }, "heartbeat", Warn, "not checked: connection refused"},
		{"foreign hook", func(w *world) { w.beatErr = lifecycle.ErrForeignHook }, "heartbeat", Fail, "CodeDeploy"},
		{"never signalled", func(w *world) { w.state.Signalled = nil }, "complete", Warn, "cannot be tried"},
		{"signalled elsewhere", func(w *world) { w.state.Instance = "i-0aaaaaaaaaaaaaaaa" }, "complete", Warn, "cannot be tried"},
		{"drained", drained(nil), "last-run", OK, "drain of 2026-11-21T11:00:00Z took the app out of service: terminated; lifecycle hook koboshi-terminating: CONTINUE"},
		{"drained, not all delivered", drained(&report.Error{Message: "not everything was delivered", Hint: "look"}), "last-run", Warn, "; error: not everything was delivered"},
		{"drained, so nothing runs", drained(nil), "app", OK, "the app does not run: this instance is drained (terminated)"},
		{"drained, so the unit is inactive", drained(nil), "unit", OK, "web.service is inactive (dead)"},
		{"drained elsewhere", func(w *world) { drained(nil)(w); w.report.Instance.ID = "i-0aaaaaaaaaaaaaaaa" }, "app", Fail, "not healthy now"},
		{"pooled, so nothing runs", pooled, "app", OK, "this instance is in a warm pool, where nothing is started"},
		{"pooled before the gate", pooled, "current", OK, "1.4.2 is current; it goes through the gate when it is started"},
		{"pooled elsewhere", func(w *world) { pooled(w); w.state.Instance = "i-0aaaaaaaaaaaaaaaa" }, "app", Fail, "not healthy now"},
		{"launch hook at the end", func(w *world) { w.swapped = true }, "hook", Fail, "web/koboshi-launching waits at the end of instances, not at their launch"},

		{"ends by a hook", func(*world) {}, "terminate-hook", OK, "web/koboshi-terminating waits 2 min 00 s from heartbeat to heartbeat, 3 h 20 min in all; drain.deadline is 10 min 00 s"},
		{"ends in no group", func(w *world) { w.group = "" }, "terminate-hook", OK, "no group, so no lifecycle action to complete"},
		{"ends, but who knows in which group", func(w *world) { w.group, w.groupOf = "", errAway }, "terminate-hook", Warn, "not checked: connection refused"},
		{"ends without a hook", func(w *world) { w.endingErr = lifecycle.ErrNoHook }, "terminate-hook", OK, "group web has no lifecycle hook koboshi-terminating: the app serves until the instance shuts down, and no drain is configured"},
		{"ends by no hook", func(w *world) { w.settings = "lifecycle.terminate_hook = \"\"\n" }, "terminate-hook", OK, "lifecycle.terminate_hook is empty: the app serves until"},
		{"drains without a hook", func(w *world) { w.endingErr, w.settings = lifecycle.ErrNoHook, draining }, "terminate-hook", Warn, "koboshi-terminating: Auto Scaling ends the instance without waiting for its drain"},
		{"flushes without a hook", func(w *world) { w.endingErr, w.settings = lifecycle.ErrNoHook, flushing }, "terminate-hook", Warn, "until the instance shuts down, and its logs have drain.on_shutdown (1 min 00 s)"},
		{"terminating hook denied", func(w *world) { w.endingErr = errRefused }, "terminate-hook", Fail, "the timeout of lifecycle hook web/koboshi-terminating is unknown"},
		{"terminating hook away", func(w *world) { w.endingErr = errAway }, "terminate-hook", Warn, "not checked: connection refused"},
		{"terminating hook at the launch", func(w *world) { w.swapped = true }, "terminate-hook", Fail, "waits at the launch of instances, not at their end"},
		{"terminating hook shorter than the deadline", func(w *world) { w.ending, w.settings = 40*time.Second, "drain.deadline = \"68m\"\n" }, "terminate-hook", Fail, "ends after 1 h 07 min whatever is sent, before drain.deadline (1 h 08 min)"},
		{"terminating hook of days", func(w *world) { w.ending, w.settings = time.Hour, "drain.deadline = \"48h\"\n" }, "terminate-hook", OK, "48 h 00 min in all"},
		{"terminating hook without beats", func(w *world) { w.beatErr = errRefused }, "terminate-hook", Fail, "before drain.deadline (10 min 00 s), since no heartbeat may be sent"},
		{"terminating hook that may end first", func(w *world) { w.ending = 30 * time.Second }, "terminate-hook", Fail, "waits 30.0 s, and the first heartbeat may come 35.0 s after its wait began"},

		{"a target", func(w *world) { w.settings = draining }, "targets", OK, "target group web has this instance: healthy"},
		{"a target twice", func(w *world) { w.settings, w.health = draining, []string{"healthy", "initial"} }, "targets", OK, "healthy, initial"},
		{"no target", func(w *world) { w.settings, w.health = draining, nil }, "targets", Warn, "target group web does not have this instance: a drain would not wait for it"},
		{"no such target group", func(w *world) { w.settings, w.healthErr = draining, balancer.ErrNoGroup }, "targets", Fail, "target group web does not exist"},
		{"target denied", func(w *world) { w.settings, w.healthErr = draining, balancer.ErrDenied }, "targets", Fail, "target group web: access denied"},
		{"target away", func(w *world) { w.settings, w.healthErr = draining, errAway }, "targets", Warn, "not checked: target group web: connection refused"},
		{"whose target?", func(w *world) { w.settings, w.whoErr = draining, errAway }, "targets", Warn, "unknown without metadata"},
		{"target unconnected", func(w *world) { w.settings, w.connectErr = draining, errAway }, "targets", Warn, "no connection to AWS"},

		{"all delivered", looksLike("rsyslog", flush.Answer{Outcome: flush.Done}), "flush", OK, "app (rsyslog): done at this moment"},
		{"some on the way", looksLike("rsyslog", flush.Answer{Outcome: flush.Left, Left: 400, Unit: flush.Bytes}), "flush", OK, "app (rsyslog): left 400 bytes at this moment"},
		{"shipper not there", looksLike("otel-collector", flush.Answer{Outcome: flush.Unknown, Note: "connection refused"}), "flush", Warn, "app (otel-collector): a drain could not find out what is delivered: connection refused"},
		{"slow shipper", looksLike("rsyslog", flush.Answer{Outcome: flush.Done, Slow: "it reports every 30s"}), "flush", Warn, "takes long: it reports every 30s"},
		{"command", looksLike("command", flush.Answer{Outcome: flush.Unknown, Note: "run later"}), "flush", OK, "app (command): run later"},
		{"no group to signal", func(w *world) { w.group = "" }, "complete", OK, "no lifecycle action to complete"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			test.spoil(w)
			findings := w.machine().Examine(t.Context())
			found := slices.ContainsFunc(findings, func(f Finding) bool {
				return f.Check == test.check && f.Level == test.level && strings.Contains(f.Text, test.text)
			})
			if !found {
				t.Errorf("no finding %s %s %q among\n%s", test.level, test.check, test.text, listing(findings, test.check))
			}
			if test.level == Fail && !Failed(findings) {
				t.Error("Failed does not tell of the failure")
			}
			checkHints(t, findings)
		})
	}
}

// checkHints requires a hint of every failure, and none of what is well.
func checkHints(t *testing.T, findings []Finding) {
	t.Helper()
	for _, f := range findings {
		if f.Level == Fail && f.Hint == "" {
			t.Errorf("%+v has no hint", f)
		}
		if f.Level == OK && f.Hint != "" {
			t.Errorf("%+v is ok and has a hint", f)
		}
	}
}
