package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"

	"koboshi/agent/config"
	"koboshi/agent/doctor"
	"koboshi/agent/failure"
	"koboshi/agent/instance"
	"koboshi/agent/lifecycle"
	"koboshi/agent/report"
	"koboshi/agent/service"
	"koboshi/agent/state"
	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/store"
	"koboshi/systemd"
)

// What the doctor asks, as this machine answers. Nothing here makes a
// directory or writes a file.

// earlierRuns is the state directory.
type earlierRuns struct{ config *config.Config }

func (p earlierRuns) Report() (report.Report, error) { return inDir(p.config, report.Newest) }

func (p earlierRuns) State() (state.State, error) {
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

// releasesHere is the store, where there is one.
type releasesHere struct {
	config *config.Config
	trust  artifacts.Trust
}

func (d releasesHere) Current() (*doctor.Tree, error) { return d.tree((*store.Store).Current) }

func (d releasesHere) Previous() (*doctor.Tree, error) { return d.tree((*store.Store).Previous) }

func (d releasesHere) CheckSpace(a artifacts.Artifact) error {
	s, err := openExisting(d.config.Install.Root, d.trust)
	if err != nil {
		return err
	}
	return errors.Join(s.CheckSpace(a), s.Close())
}

func (d releasesHere) tree(named func(*store.Store) (store.Release, bool, error)) (*doctor.Tree, error) {
	s, err := openExisting(d.config.Install.Root, d.trust)
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Close() }() // only read
	r, found, err := named(s)
	if err != nil || !found {
		return nil, err
	}
	return &doctor.Tree{Version: r.Version(), ManifestSHA256: r.ManifestSHA256(), HealthyOn: r.HealthyOn}, nil
}

// openExisting is store.Open without its making what is missing.
func openExisting(root string, trust artifacts.Trust) (*store.Store, error) {
	for _, name := range []string{"releases", ".staging"} {
		if _, err := os.Stat(filepath.Join(root, name)); err != nil {
			return nil, err
		}
	}
	return store.Open(root, trust)
}

// appHere is the app that runs now.
type appHere struct {
	service.Service
	config *config.Config
	trust  artifacts.Trust
}

// Probe asks as the gate of the current release would, once.
func (a appHere) Probe(ctx context.Context) error { return a.Service.Probe(ctx, a.override()) }

// override is what the current release says of its own health; nothing where
// it cannot be read.
func (a appHere) override() (h artifacts.Health) {
	s, err := openExisting(a.config.Install.Root, a.trust)
	if err != nil {
		return h
	}
	defer func() { _ = s.Close() }() // only read
	r, found, err := s.Current()
	if err != nil || !found {
		return h
	}
	return r.Manifest().Manifest().Health
}

// unitsHere is systemd, over a connection for each question.
type unitsHere struct{}

func (unitsHere) State(ctx context.Context, unit string) (s systemd.State, err error) {
	m, err := systemd.Connect(ctx)
	if err != nil {
		return s, err
	}
	defer m.Close()
	return m.State(ctx, unit)
}

func (unitsHere) OrderedAfter(ctx context.Context, unit, other string) (string, error) {
	m, err := systemd.Connect(ctx)
	if err != nil {
		return "", err
	}
	defer m.Close()
	return m.OrderedAfter(ctx, unit, other)
}

// examineAttempts is how often a request is tried that somebody is waiting for.
const examineAttempts = 2

// examineCloud makes the clients of AWS as a run would, but for their patience.
func examineCloud(ctx context.Context, cfg *config.Config, metadata *instance.Metadata, who instance.Identity) (cloud doctor.Cloud, err error) {
	settings, err := loadAWS(ctx, who.ID)
	if err != nil {
		return cloud, err
	}
	settings = forInstance(settings, metadata, who.Region)
	if settings.Region == "" && slices.ContainsFunc(cfg.Source, lacksRegion) {
		return cloud, errors.New("no region is set, and metadata has none")
	}
	patient := settings.Retryer()
	settings.Retryer = func() aws.Retryer { return retry.AddWithMaxAttempts(patient, examineAttempts) }
	watched := &dated{client: settings.HTTPClient}
	settings.HTTPClient = watched
	for _, name := range cfg.Source {
		source, err := openSource(settings, name, cfg.App, who.ID)
		if err != nil {
			return cloud, fmt.Errorf("source: %w", err)
		}
		cloud.Sources = append(cloud.Sources, doctor.Source{Name: name, Way: wayTo(ctx, name, source), Bucket: source})
	}
	cloud.Account, cloud.Clock = account{settings.Credentials}, watched
	cloud.Hooks = refusals{lifecycle.New(settings)}
	return cloud, nil
}

// account is who signs the requests.
type account struct{ provider aws.CredentialsProvider }

func (a account) Credentials(ctx context.Context) (doctor.Credentials, error) {
	c, err := a.provider.Retrieve(ctx)
	if err != nil || !c.CanExpire {
		return doctor.Credentials{From: c.Source}, err
	}
	return doctor.Credentials{From: c.Source, Expires: c.Expires}, nil
}

// refusals is Auto Scaling, with a refusal told in our own words.
type refusals struct{ client *lifecycle.Client }

func (r refusals) Group(ctx context.Context, id string) (group, state string, err error) {
	group, state, err = r.client.Group(ctx, id)
	return group, state, refused(err)
}

func (r refusals) HeartbeatTimeout(ctx context.Context, group, hook string) (time.Duration, error) {
	timeout, err := r.client.HeartbeatTimeout(ctx, group, hook)
	return timeout, refused(err)
}

func (r refusals) Heartbeat(ctx context.Context, hook lifecycle.Action) error {
	return refused(r.client.Heartbeat(ctx, hook))
}

// refused tells what the service said without what the SDK wraps around it, and
// marks what a policy would change.
func refused(err error) error {
	answer, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return err
	}
	text := fmt.Errorf("%s (%s)", answer.ErrorMessage(), answer.ErrorCode())
	switch answer.ErrorCode() {
	case "AccessDenied", "AccessDeniedException", "UnauthorizedOperation":
		return failure.Mark(text, bucket.ErrDenied)
	}
	return text
}

// dated notes what time the answers tell (RFC 9110, Date).
type dated struct {
	client aws.HTTPClient
	mu     sync.Mutex
	ahead  time.Duration
	told   bool
}

func (d *dated) Do(r *http.Request) (*http.Response, error) {
	answer, err := d.client.Do(r)
	if err != nil {
		return answer, err
	}
	if at, err := http.ParseTime(answer.Header.Get("Date")); err == nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.ahead, d.told = time.Since(at), true
	}
	return answer, nil
}

func (d *dated) Ahead() (time.Duration, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ahead, d.told
}
