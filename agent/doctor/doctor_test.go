package doctor

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/agent/instance"
	"koboshi/agent/report"
	"koboshi/artifacts/bucket"
	"koboshi/systemd"
)

func TestMachineInOrder(t *testing.T) {
	w := newWorld(t)
	findings := w.machine().Examine(t.Context())
	var names []string
	for _, f := range findings {
		names = append(names, f.Check)
		if f.Level != OK || f.Hint != "" || f.Text == "" {
			t.Errorf("%+v, want an ok without a hint", f)
		}
	}
	var want []string
	for _, c := range checks() {
		if c.name != "targets" && c.name != "mounts" && c.name != "flush" && c.name != "health-report" && c.name != "rollout" && !strings.HasPrefix(c.name, "node-") { // nothing is configured for them
			want = append(want, c.name)
		}
	}
	if !slices.Equal(names, want) {
		t.Errorf("findings of %q, want one of each in the order %q", names, want)
	}
	if !slices.Contains(w.asked, "heartbeat web/koboshi-launching "+me) {
		t.Errorf("asked %q, want a heartbeat to the instance's own hook", w.asked)
	}
	if Failed(findings) {
		t.Error("Failed of nothing but ok")
	}
}

// Half of the time is not most of it.
func TestNoStepStandsOut(t *testing.T) {
	w := newWorld(t)
	w.report.MS, w.report.Steps = 60_000, []report.Step{{Name: "resolve", MS: 30_000}, {Name: "gate", MS: 30_000}}
	if got := listing(w.machine().Examine(t.Context()), "last-run"); strings.Contains(got, "most of its time") {
		t.Error(got)
	}
}

func listing(findings []Finding, check string) string {
	var lines []string
	for _, f := range findings {
		if f.Check == check {
			lines = append(lines, string(f.Level)+" "+f.Text)
		}
	}
	return strings.Join(lines, "\n")
}

// How a source is asked is said where that is not the usual way, be it well or
// not.
func TestWayToASource(t *testing.T) {
	for name, lost := range map[string]error{"ok": nil, "away": errAway, "denied": errDenied, "missing": bucket.ErrNotFound} {
		w := newWorld(t)
		if lost != nil {
			w.lost["channels/stable.json"] = lost
		}
		m := w.machine()
		m.Connect = func(ctx context.Context, who instance.Identity) (Cloud, error) {
			cloud, err := w.connect(ctx, who)
			cloud.Sources[0].Way = "by the proxy p:1"
			return cloud, err
		}
		for _, f := range m.Examine(t.Context()) {
			if f.Check == "source" && !strings.HasPrefix(f.Text, "s3://acme/apps (by the proxy p:1): ") {
				t.Errorf("%s: %s", name, f.Text)
			}
		}
	}
}

// The second source is used where nothing of the first one verifies.
func TestFirstVerifiedSource(t *testing.T) {
	w, other := newWorld(t), newWorld(t)
	m := w.machine()
	m.Connect = func(ctx context.Context, who instance.Identity) (Cloud, error) {
		cloud, err := w.connect(ctx, who)
		cloud.Sources = []Source{{Name: "s3://away/apps", Bucket: other}, cloud.Sources[0]}
		return cloud, err
	}
	findings := m.Examine(t.Context())
	if got := listing(findings, "channel"); got != "ok channel stable points to 1.4.2, sequence 7, which runs here" {
		t.Errorf("channel: %s", got)
	}
	if got := listing(findings, "signatures"); !strings.HasPrefix(got, "fail s3://away/apps: signed by none of 1") || !strings.Contains(got, "\nok s3://acme/apps: signed by 1 of 1") {
		t.Errorf("signatures:\n%s", got)
	}
}

// An app that a command starts has nothing that systemd could be asked about.
func TestWithoutUnit(t *testing.T) {
	w := newWorld(t)
	w.unitErr = systemd.ErrNotBooted
	m := w.machine()
	m.Config.Service.Unit = ""
	findings := m.Examine(t.Context())
	if got := listing(findings, "unit") + listing(findings, "order") + listing(findings, "boot-unit"); got != "ok the app is started by a command, not by systemd" {
		t.Errorf("got %s", got)
	}
}

// stuck never answers, and does not look at contexts either.
type stuck struct {
	*world
	forever chan struct{}
}

func (s stuck) Identity(context.Context) (instance.Identity, error) {
	<-s.forever
	return instance.Identity{}, errAway
}

func (s stuck) Current() (*Tree, error)     { <-s.forever; return nil, nil }
func (s stuck) Probe(context.Context) error { <-s.forever; return nil }

func (s stuck) Get(ctx context.Context, _ string, _ bucket.Range) (io.ReadCloser, bucket.Object, error) {
	<-ctx.Done()
	return nil, bucket.Object{}, errAway
}

func TestEndsWhateverHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := stuck{w, make(chan struct{})}
		defer close(s.forever)
		m := w.machine()
		m.Disk, m.App, m.Metadata = s, s, s
		m.Connect = func(context.Context, instance.Identity) (Cloud, error) {
			return Cloud{Sources: []Source{{Name: "s3://acme/apps", Bucket: s}}, Account: w, Hooks: w, Clock: w}, nil
		}
		began := time.Now()
		findings := m.Examine(t.Context())
		if took := time.Since(began); took > 4*Limit {
			t.Errorf("took %v", took)
		}
		for check, want := range map[string]string{
			"metadata": "fail no answer within 5.00 s",
			"current":  "fail no answer within 5.00 s",
			"source":   "fail s3://acme/apps: no answer within 5.00 s: connection refused",
			"previous": "ok rollback goes to 1.4.1",
			"unit":     "ok web.service is active (running), and disabled as it should be",
		} {
			if got := listing(findings, check); got != want {
				t.Errorf("%s: %q, want %q", check, got, want)
			}
		}
	})
}
