package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"

	"koboshi/agent/balancer"
	"koboshi/agent/config"
	"koboshi/agent/doctor"
	"koboshi/agent/instance"
	"koboshi/agent/lifecycle"
)

// examineAttempts is how often a request is tried while a person waits for it.
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
	clock := doctor.WatchClock(settings.HTTPClient)
	settings.HTTPClient, cloud.Clock = clock, clock
	for _, name := range cfg.Source {
		source, err := openSource(settings, name, cfg.App, who.ID)
		if err != nil {
			return cloud, fmt.Errorf("source: %w", err)
		}
		cloud.Sources = append(cloud.Sources, doctor.Source{Name: name, Way: wayTo(ctx, name, source), Bucket: source})
	}
	if cfg.Fleet.Report {
		u, err := parseSource(cfg.ReportTo())
		if err != nil {
			return cloud, fmt.Errorf("source: %w", err)
		}
		cloud.Records = openStore(settings, u, cfg.App)
	}
	if n := cfg.NodeID; n.On() {
		if cloud.Nodes, err = openTable(settings, n.Table, n.Scope); err != nil {
			return cloud, fmt.Errorf("node_id.table: %w", err)
		}
	}
	cloud.Account, cloud.Hooks, cloud.Balancer = account{settings.Credentials}, lifecycle.New(settings), balancer.New(settings)
	return cloud, nil
}

// account signs the requests.
type account struct{ provider aws.CredentialsProvider }

func (a account) Credentials(ctx context.Context) (doctor.Credentials, error) {
	c, err := a.provider.Retrieve(ctx)
	if err != nil || !c.CanExpire {
		return doctor.Credentials{From: c.Source}, err
	}
	return doctor.Credentials{From: c.Source, Expires: c.Expires}, nil
}
