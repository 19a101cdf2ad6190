package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"sync"
	"time"

	"koboshi/agent/config"
	"koboshi/agent/health"
	"koboshi/agent/mounts"
	"koboshi/agent/nodeid"
	"koboshi/agent/report"
	"koboshi/agent/service"
	"koboshi/agent/state"
	"koboshi/artifacts"
	"koboshi/artifacts/store"
	"koboshi/systemd"
	"koboshi/systemd/install"
)

// Here fills in what is asked of this very machine: its state directory, its
// store, its app and systemd. Nothing here makes a directory or writes a file, but for
// the small images that are mounted for the check mounts.
func (m *Machine) Here(app service.Service) {
	releases := storeHere{m.Config.Install.Root, m.Trust}
	m.Mounts = mountsHere{mounts.New(nil), releases}
	m.Past, m.Disk, m.Places, m.App, m.Units, m.Node = stateHere{m.Config}, releases, placeHere{}, appHere{app, releases}, systemdHere{}, nodeHere{m.Config}
}

// stateHere is the state directory.
type stateHere struct{ config *config.Config }

func (p stateHere) Report() (report.Report, error) { return inDir(p.config, report.Newest) }

func (p stateHere) State() (state.State, error) {
	return inDir(p.config, func(dir *os.Root) (state.State, error) {
		s, damage, err := state.Load(dir)
		return s, errors.Join(damage, err)
	})
}

func inDir[T any](cfg *config.Config, load func(*os.Root) (T, error)) (v T, err error) {
	dir, err := os.OpenRoot(cfg.State.Dir)
	if err != nil {
		return v, err
	}
	defer func() { _ = dir.Close() }() // only read
	return load(dir)
}

// storeHere is the store, where there is one.
type storeHere struct {
	root  string
	trust artifacts.Trust
}

func (d storeHere) Current() (*Tree, error) { return d.tree((*store.Store).Current) }

func (d storeHere) Previous() (*Tree, error) { return d.tree((*store.Store).Previous) }

func (d storeHere) CheckSpace(a artifacts.Artifact) error {
	s, err := store.OpenExisting(d.root, d.trust)
	if err != nil {
		return err
	}
	return errors.Join(s.CheckSpace(a), s.Close())
}

func (d storeHere) tree(named func(*store.Store) (store.Release, bool, error)) (*Tree, error) {
	s, err := store.OpenExisting(d.root, d.trust)
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Close() }() // only read
	r, found, err := named(s)
	if err != nil || !found {
		return nil, err
	}
	return &Tree{Version: r.Version(), ManifestSHA256: r.ManifestSHA256(), HealthyOn: r.HealthyOn, health: r.Manifest().Manifest().Health}, nil
}

// appHere is the app that runs now.
type appHere struct {
	service.Service
	releases storeHere
}

// Probe asks as the gate of the current release would, once.
func (a appHere) Probe(ctx context.Context) error { return a.Service.Probe(ctx, a.override()) }

func (a appHere) CheckListener(ctx context.Context) error {
	return a.Service.CheckListener(ctx, a.override())
}

// override is what the current release says about its health.
func (a appHere) override() artifacts.Health {
	if current, err := a.releases.Current(); err == nil && current != nil {
		return current.health
	}
	return artifacts.Health{}
}

// Look asks the app of this machine once whether it is up and healthy, as the gate
// of the current release would, and looks at what is mounted for it. The error is what
// is wrong.
func Look(ctx context.Context, cfg *config.Config, trust artifacts.Trust, app service.Service) error {
	releases := storeHere{cfg.Install.Root, trust}
	image := releases.look()
	if why, err := app.Down(ctx); err == nil && why != "" {
		return also(fmt.Errorf("%w: %s", health.ErrUnhealthy, why), image)
	}
	return also(appHere{app, releases}.Probe(ctx), image)
}

// also is one line of two errors, either of which may be nil.
func also(err, other error) error {
	if err == nil || other == nil {
		return errors.Join(err, other)
	}
	return fmt.Errorf("%w; %w", err, other)
}

// look is what is wrong with the image of the current release. Where there is no release
// others say so.
func (d storeHere) look() error {
	s, err := store.OpenExisting(d.root, d.trust)
	if err != nil {
		return nil //nolint:nilerr // see above
	}
	defer func() { _ = s.Close() }() // only read
	s.Mounts = mounts.New(nil)
	r, found, err := s.Current()
	if err != nil || !found {
		return nil //nolint:nilerr // see above
	}
	return s.Look(r)
}

// systemdHere is systemd, over a connection for each question.
type systemdHere struct{}

func (systemdHere) State(ctx context.Context, unit string) (s systemd.State, err error) {
	m, err := systemd.Connect(ctx)
	if err != nil {
		return s, err
	}
	defer m.Close()
	return m.State(ctx, unit)
}

func (systemdHere) OrderedAfter(ctx context.Context, unit, other string) (string, error) {
	m, err := systemd.Connect(ctx)
	if err != nil {
		return "", err
	}
	defer m.Close()
	return m.OrderedAfter(ctx, unit, other)
}

func (systemdHere) WatchOrder(app string, cfg *config.Config) (o install.Order, written bool, err error) {
	root, err := install.Open("/")
	if err != nil {
		return o, false, err
	}
	defer root.Close()
	return root.WatchOrder(app, cfg)
}

func (systemdHere) StopArmed(ctx context.Context, name string) (at time.Time, armed bool, err error) {
	m, err := systemd.Connect(ctx)
	if err != nil {
		return at, false, err
	}
	defer m.Close()
	return m.StopArmed(ctx, name)
}

// nodeHere is what is recorded in the state directory, and in the run directory.
type nodeHere struct{ config *config.Config }

func (n nodeHere) Lease() (l Lease, err error) {
	clock, err := state.SystemClock()
	if err != nil {
		return l, err
	}
	l.Boot = clock.Boot
	l.Record, err = inDir(n.config, func(dir *os.Root) (r nodeid.Record, err error) {
		r, l.Damage, err = nodeid.Load(dir)
		return r, err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return l, err
	}
	run, err := os.OpenRoot(n.config.State.Run)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return l, err
	}
	defer func() { _ = run.Close() }() // only read
	l.Watched, l.Wanted = state.Watched(run), (&nodeid.Node{Run: run}).Wanted()
	return l, nil
}

// Clock compares this machine's clock with the Date of every answer that its
// client gets (RFC 9110).
type Clock struct {
	client client
	mu     sync.Mutex
	ahead  time.Duration
	known  bool
}

// client sends requests, as *http.Client does.
type client interface {
	Do(*http.Request) (*http.Response, error)
}

// WatchClock is a client that notes the time of the answers.
func WatchClock(c client) *Clock { return &Clock{client: c} }

// Do implements the client.
func (c *Clock) Do(r *http.Request) (*http.Response, error) {
	answer, err := c.client.Do(r)
	if err != nil {
		return answer, err
	}
	if at, err := http.ParseTime(answer.Header.Get("Date")); err == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.ahead, c.known = time.Since(at), true
	}
	return answer, nil
}

// Ahead is how far this machine's clock is ahead of the one that answered last;
// false where no answer had a time.
func (c *Clock) Ahead() (time.Duration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ahead, c.known
}
