package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"koboshi/agent"
	"koboshi/agent/balancer"
	"koboshi/agent/config"
	"koboshi/agent/failure"
	"koboshi/agent/instance"
	"koboshi/agent/lease"
	"koboshi/agent/lifecycle"
	"koboshi/agent/mounts"
	"koboshi/agent/service"
	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/fetch"
	"koboshi/artifacts/store"
	"koboshi/systemd"
)

// runtimeDir is the units' RuntimeDirectory=, which all apps have in common.
const runtimeDir = "/run/koboshi"

// newAgent builds an agent from the configuration files. It opens nothing and does
// not use the network.
func (c *cli) newAgent(ctx context.Context) (*agent.Agent, error) {
	cfg, err := c.loadConfig()
	if err != nil {
		return nil, err
	}
	if err := c.checkNeighbours(cfg, false); err != nil {
		return nil, err
	}
	trust, err := loadTrust(cfg)
	if err != nil {
		return nil, err
	}
	ignoreSIGPIPE()
	metadata := instance.New(instance.Options{})
	app := service.New(cfg, c.ui.hookLine)
	app.Red = c.ui.notHealthyYet
	return &agent.Agent{
		Files:   cfg,
		Version: version,
		By:      operator(),
		Machine: metadata,
		LocalID: localID,
		Connect: func(cfg *config.Config, who instance.Identity) (agent.Cloud, error) {
			return connect(ctx, cfg, trust, metadata, who)
		},
		Trust:    trust,
		Window:   chooseProfile(memory()).window,
		Turns:    runtimeDir,
		Seals:    mounts.Verity{},
		Mounts:   func(warn func(string, ...any)) store.Mounts { return mounts.New(warn) },
		Service:  app,
		Ready:    systemd.Notifier{}.Ready,
		Notify:   app.Notify,
		Flushers: flushers(app),
		Nonce:    drawNonce(),
		Now:      time.Now,
		Clock:    clock(),
		Observe:  c.ui.observe,
		Waits:    c.ui.waits,
	}, nil
}

// connect makes the clients of AWS, once for the whole run.
func connect(ctx context.Context, cfg *config.Config, trust artifacts.Trust, metadata *instance.Metadata, who instance.Identity) (agent.Cloud, error) {
	settings, err := loadAWS(ctx, who.ID)
	if err != nil {
		return agent.Cloud{}, err
	}
	if who == (instance.Identity{}) {
		if who, err = builder(ctx, settings, cfg, metadata); err != nil {
			return agent.Cloud{}, err
		}
	}
	settings = forInstance(settings, metadata, who.Region)
	if slices.ContainsFunc(cfg.Source, func(s string) bool { return strings.HasPrefix(s, "s3:") }) {
		go func() { _, _ = settings.Credentials.Retrieve(ctx) }() // the first request joins this wait, or asks again
	}
	return newCloud(settings, cfg, trust, who.ID, limitMemory())
}

// newCloud makes the clients of the sources and of Auto Scaling.
func newCloud(settings aws.Config, cfg *config.Config, trust artifacts.Trust, seed string, memory profile) (agent.Cloud, error) {
	settings, retryer := newPersistent(settings, seed)
	var sources []bucket.Reader
	for _, s := range cfg.Source {
		source, err := openSource(settings, s, cfg.App, seed)
		if err != nil {
			return agent.Cloud{}, failure.Mark(fmt.Errorf("source: %w", err), failure.ErrConfiguration)
		}
		sources = append(sources, source)
	}
	o := origin{fetch.New(cfg.App, trust, seed, sources...), memory, func() []string { return versionsHere(cfg, trust) }}
	cloud := agent.Cloud{Releases: o, Artifacts: o, Lifecycle: lifecycle.New(settings), Stacks: lifecycle.NewStacks(settings), Persist: retryer.persist}
	if cfg.Fleet.Report {
		if u, err := parseSource(cfg.ReportTo()); err == nil { // the configuration was checked
			cloud.Records = openStore(settings, u, cfg.App)
		}
	}
	if cfg.NodeID.On() {
		cloud.NodeTable = func(scope string) (lease.Table, error) { return openTable(settings, cfg.NodeID.Table, scope) }
	}
	if len(cfg.Drain.TargetGroups) > 0 {
		cloud.Balancer = balancer.New(settings)
	}
	return cloud, nil
}

// localID is the instance id of the firmware. Where the environment has another
// endpoint for metadata, as on a laptop, the firmware is not read.
func localID() (string, bool) {
	if os.Getenv("AWS_EC2_METADATA_SERVICE_ENDPOINT") != "" {
		return "", false
	}
	return instance.LocalID(instance.AssetTag)
}
