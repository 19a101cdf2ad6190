package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"koboshi/agent"
	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/s3"
	"koboshi/agent/config"
	"koboshi/agent/failure"
	"koboshi/agent/health"
	"koboshi/agent/instance"
	"koboshi/agent/report"
	"koboshi/agent/service"
	"koboshi/artifacts"
	"koboshi/artifacts/pace"
)

// fleet is a simulation: so many instances are launched within a minute, each
// an agent as cmd builds it, with its own store, the clients and the retryer of
// the product. Only the network, the machine and the app are not real.
type fleet struct {
	name     string
	launches int
	share    float64 // of AWS's rates; 0 = all
	settings string  // of koboshi.toml
	baked    bool    // the release is on every image
	outage   string  // a service that fails for ten minutes, half-way through
}

// The simulation's own times.
const (
	launchWindow = time.Minute
	osBoot       = 15 * time.Second // from the launch to the agent
	replaceAfter = 30 * time.Second // from an ABANDON to the next launch
	outageBegins = 30 * time.Second
	outageLasts  = 10 * time.Minute
	giveUpAfter  = 3 * time.Hour
)

// TestFleet is one of ten cells of a launch of 1,000.
func TestFleet(t *testing.T) {
	f := fleet{name: "100 of 1,000 launches", launches: 100, share: 0.1, settings: patient}
	f.run(t).modest(t)
}

// patient is for a hook that waits for longer than AWS's least, 30 s.
const patient = "[lifecycle]\nheartbeat_after = \"2m\"\n"

// outcomes is how the launches of a fleet ended.
type outcomes struct {
	fleet
	boots    int
	codes    map[failure.Code]int
	verdicts map[report.Verdict]int
	tallies  map[string]*tally
	ready    []time.Duration // since the launch of each instance that came into service
	all      time.Duration   // since the first launch: everything is in service
	abandon  int             // lifecycle actions completed with ABANDON
	expired  int             // lifecycle actions that timed out
	missing  int             // of the group's capacity, not in service
}

// run simulates the fleet in as many cells as the limit of open files asks for,
// each with its share of the rates.
func (f fleet) run(t *testing.T) *outcomes {
	t.Helper()
	world := newFleetWorld(t, f)
	total := &outcomes{fleet: f, codes: map[failure.Code]int{}, verdicts: map[report.Verdict]int{}, tallies: map[string]*tally{}}
	cells := 1 + f.launches*filesEach/openFiles(t)
	for cell := range cells {
		launches := (f.launches + cell) / cells
		synctest.Test(t, func(t *testing.T) {
			if f.baked && cell == 0 {
				world.bake(t)
			}
			world.cell(t, total, cell, launches, cmp.Or(f.share, 1)*float64(launches)/float64(f.launches))
		})
	}
	slices.Sort(total.ready)
	t.Log(total.table(cells))
	return total
}

const filesEach = 4 // store, state, run, lock

// openFiles leaves some for what is just being read.
func openFiles(t *testing.T) int {
	t.Helper()
	var limit syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	return int(min(limit.Cur, 1<<20)) * 9 / 10
}

// fleetWorld is what all instances share.
type fleetWorld struct {
	fleet
	dir     string
	base    *config.Config
	trust   artifacts.Trust
	objects *s3.Store
}

func newFleetWorld(t *testing.T, f fleet) *fleetWorld {
	t.Helper()
	dir, err := os.MkdirTemp(inMemory(), "koboshi-fleet")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	must(t, writeKeys(dir))
	must(t, os.Mkdir(filepath.Join(dir, "bucket"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "web"), []byte("#!/bin/sh\nexec sleep 1d\n"), 0o755))
	source := []string{"--source", "file://" + dir + "/bucket", "--app", "web", "--version", "1.4.2", "--key", dir + "/release.key"}
	for _, command := range [][]string{{"publish", filepath.Join(dir, "web")}, {"promote", "--channel", "stable"}} {
		if code := run(t.Context(), append(command, source...), nil, io.Discard, os.Stderr); code != 0 {
			t.Fatalf("%s: exit code %d", command[0], code)
		}
	}
	text := fmt.Sprintf("app = \"web\"\nsource = \"s3://releases/apps\"\n[trust]\nkeys = [%q]\n[service]\nrestart = [\"true\"]\n[health]\ntcp = \"127.0.0.1:1\"\n%s",
		dir+"/release.pub", f.settings)
	base, err := config.Parse(config.File{Name: "koboshi.toml", Data: []byte(text)})
	must(t, err)
	trust, err := loadTrust(base)
	must(t, err)
	return &fleetWorld{fleet: f, dir: dir, base: base, trust: trust, objects: objectsOf(t, dir+"/bucket")}
}

// inMemory is a directory in which durable costs nothing, where there is one.
func inMemory() string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		return "/dev/shm"
	}
	return ""
}

// objectsOf puts the files below a directory into a bucket.
func objectsOf(t *testing.T, dir string) *s3.Store {
	t.Helper()
	objects := s3.New(time.Now)
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		objects.Put("releases", "apps"+strings.TrimPrefix(path, dir), data)
		return err
	}))
	return objects
}

// cell is a fleet, or a part of one, from its first launch to its end.
func (w *fleetWorld) cell(t *testing.T, total *outcomes, cell, launches int, share float64) {
	cloud, err := newFleetCloud(w.objects, share)
	must(t, err)
	defer cloud.model.Close()
	cloud.outage = func(service string, at time.Duration) bool {
		return service == w.outage && at >= outageBegins && at < outageBegins+outageLasts
	}
	var mu sync.Mutex
	var group sync.WaitGroup
	for n := range launches {
		group.Go(func() {
			place := fmt.Sprintf("i-%02x%05x", cell, n)
			pass(time.Duration(pace.Share(place, 1) * float64(launchWindow)))
			for time.Since(cloud.begun) < giveUpAfter {
				i, err := cloud.model.Launch(autoscaling.LaunchOptions{Group: "web"})
				if err != nil {
					t.Error(err)
					return
				}
				pass(osBoot)
				verdict, err := w.boot(t, cloud, i.ID())
				mu.Lock()
				total.boots++
				total.codes[failure.CodeOf(err)]++
				total.verdicts[verdict]++
				mu.Unlock()
				if settle(i).Result == autoscaling.Continue {
					break
				}
				pass(replaceAfter)
			}
		})
	}
	group.Wait()
	total.add(cloud, launches)
}

// pass lets the simulation's time pass.
func pass(d time.Duration) { <-time.After(d) }

func (o *outcomes) add(c *fleetCloud, launches int) {
	for name, t := range c.tallies {
		sum := o.tallies[name]
		if sum == nil {
			sum = &tally{}
			o.tallies[name] = sum
		}
		sum.calls, sum.throttled, sum.failed = sum.calls+t.calls, sum.throttled+t.throttled, sum.failed+t.failed
	}
	o.missing += launches
	for _, i := range c.model.Instances() {
		switch action := i.Actions()[0]; {
		case action.Ending == autoscaling.ByTimeout:
			o.expired++
		case action.Result == autoscaling.Continue:
			o.missing--
			o.ready = append(o.ready, action.Ended.Sub(i.History()[0].At))
			o.all = max(o.all, action.Ended.Sub(c.begun))
		default:
			o.abandon++
		}
	}
}

// boot is one koboshi boot on an empty disk, or on one with the release.
func (w *fleetWorld) boot(t *testing.T, cloud *fleetCloud, id string) (report.Verdict, error) {
	dir := filepath.Join(w.dir, id)
	defer func() { _ = os.RemoveAll(dir) }()
	if w.baked {
		if err := os.CopyFS(dir, os.DirFS(filepath.Join(w.dir, "image"))); err != nil {
			return "", err
		}
	}
	rep, err := w.agent(cloud, id, dir).Boot(t.Context())
	return rep.Verdict, err
}

// bake makes the image that the instances are launched from.
func (w *fleetWorld) bake(t *testing.T) {
	cloud, err := newFleetCloud(w.objects, 1)
	must(t, err)
	defer cloud.model.Close()
	_, err = w.agent(cloud, "", filepath.Join(w.dir, "image")).Prebake(t.Context(), agent.PrebakeOptions{})
	must(t, err)
}

// agent is built as cmd does, except for the machine and the network.
func (w *fleetWorld) agent(cloud aws.HTTPClient, id, dir string) *agent.Agent {
	cfg := *w.base
	cfg.Install.Root, cfg.State.Dir, cfg.State.Run = filepath.Join(dir, "opt"), filepath.Join(dir, "state"), filepath.Join(dir, "state")
	return &agent.Agent{
		Files: &cfg, Trust: w.trust, Version: version,
		Machine: simulated(id), LocalID: func() (string, bool) { return "", false },
		Connect: func(cfg *config.Config, who instance.Identity) (agent.Cloud, error) {
			retryer := newRetryer(who.ID, 0, "")
			return newCloud(aws.Config{
				Region: "us-east-1", HTTPClient: cloud, BaseEndpoint: aws.String("http://aws.test"),
				Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
				Retryer:     func() aws.Retryer { return retryer },
			}, cfg, w.trust, who.ID, profile{})
		},
		Service: simulated(id), Ready: func() error { return nil },
		Now: time.Now, Observe: func(report.Event) {}, Waits: func(string, time.Duration) {},
	}
}

// simulated is the machine and the app of an instance.
type simulated string

func (s simulated) Identity(context.Context) (instance.Identity, error) {
	return instance.Identity{ID: string(s), Region: "us-east-1", AZ: "us-east-1a"}, nil
}

func (simulated) Tags(context.Context, ...string) (map[string]string, error) {
	return map[string]string{config.TagGroup: "web"}, nil
}

func (simulated) TargetState(context.Context) (string, error) { return "InService", nil }

// Check finds nothing wrong.
func (simulated) Check(context.Context) error { return nil }

// Restart starts an app that is up after one to ten seconds; its gate takes ten
// more.
func (s simulated) Restart(context.Context, []string) (service.Gate, error) {
	up := time.Second + time.Duration(pace.Share(string(s), 2)*float64(9*time.Second))
	return func(ctx context.Context, _ artifacts.Health) (health.Report, error) {
		select {
		case <-time.After(up + 10*time.Second):
			return health.Report{Attempts: 1}, nil
		case <-ctx.Done():
			return health.Report{}, context.Cause(ctx)
		}
	}, nil
}

// RunHook runs nothing: the release has no hooks.
func (simulated) RunHook(context.Context, service.Hook) error { return nil }

// Stop stops nothing: nothing runs.
func (simulated) Stop(context.Context) error { return nil }

// Load, Limits, Arm and Disarm are for node ids, of which there are none.
func (simulated) Load(context.Context) error { return nil }
func (simulated) Limits(context.Context) (stop, restart time.Duration, err error) {
	return 0, 0, nil
}
func (simulated) Arm(context.Context, time.Time) error { return nil }
func (simulated) Disarm(context.Context) error         { return nil }

// Running reports an app that stays up.
func (simulated) Running(context.Context) (bool, error) { return true, nil }

// Down reports an app that stays up.
func (simulated) Down(context.Context) (string, error) { return "", nil }

// Probe finds it healthy.
func (simulated) Probe(context.Context, artifacts.Health) error { return nil }

// Await is not called at a launch.
func (simulated) Await(context.Context, artifacts.Health) (health.Report, error) {
	return health.Report{}, nil
}

// modest asserts that every instance came into service, and with few calls.
func (o *outcomes) modest(t *testing.T) {
	t.Helper()
	o.whole(t)
	for name, tally := range o.tallies {
		each := float64(tally.calls) / float64(o.launches)
		if name == "GetObject pointer" {
			each /= 2 // it is read once more before the signal
		}
		if each > 1.1 {
			t.Errorf("%s was called %.2f times by each instance, want at most 1.1", name, each)
		}
	}
}

// whole asserts that every instance came into service at its first launch.
func (o *outcomes) whole(t *testing.T) {
	t.Helper()
	if o.boots != o.launches || o.codes[failure.OK] != o.launches || len(o.ready) != o.launches || o.abandon+o.expired+o.missing > 0 {
		t.Errorf("%d of %d in service after %d boots, %d ABANDON, %d hooks ran out, exits %v", len(o.ready), o.launches, o.boots, o.abandon, o.expired, o.codes)
	}
}

// served asserts that in the end all instances are in service, however long it took.
func (o *outcomes) served(t *testing.T) {
	t.Helper()
	if o.missing+o.expired > 0 || o.codes[failure.Lifecycle] > 0 || len(o.ready) != o.launches {
		t.Errorf("%d of %d in service, %d hooks ran out, exits %v", len(o.ready), o.launches, o.expired, o.codes)
	}
}

// table is the outcomes for people.
func (o *outcomes) table(cells int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, in %s\n", o.name, count(cells, "cell", "cells"))
	for _, name := range slices.Sorted(maps.Keys(o.tallies)) {
		t := o.tallies[name]
		fmt.Fprintf(&b, "  %-32s %6.2f a launch, %5.1f %% throttled, %5.1f %% failed\n", name, float64(t.calls)/float64(o.launches),
			100*float64(t.throttled)/float64(t.calls), 100*float64(t.failed)/float64(t.calls))
	}
	fmt.Fprintf(&b, "  in service after p50 %s, p99 %s, max %s; all of them after %s\n",
		report.Duration(o.percentile(50)), report.Duration(o.percentile(99)), report.Duration(o.percentile(100)), report.Duration(o.all))
	fmt.Fprintf(&b, "  %d boots, exits %v, verdicts %v, %d ABANDON, %d hooks ran out, %d not in service", o.boots, o.codes, o.verdicts, o.abandon, o.expired, o.missing)
	return b.String()
}

func (o *outcomes) percentile(p int) time.Duration {
	if len(o.ready) == 0 {
		return 0
	}
	return o.ready[max(0, len(o.ready)*p/100-1)]
}
