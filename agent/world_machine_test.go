package agent_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"koboshi/agent/config"
	"koboshi/agent/instance"
	"koboshi/agent/state"
)

// state is what the last run left in state.json.
func (w *world) state() state.State {
	w.t.Helper()
	left, damage, err := state.Load(w.open("state"))
	if damage != nil || err != nil {
		w.t.Fatal(damage, err)
	}
	return left
}

func (w *world) open(name string) *os.Root {
	w.t.Helper()
	dir := filepath.Join(w.dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		w.t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		w.t.Fatal(err)
	}
	return root
}

func (w *world) config() *config.Config {
	w.t.Helper()
	onFailure := config.Abandon
	if w.wait {
		onFailure = config.Wait
	}
	resource := ""
	if w.stack != "" {
		resource = "Group"
	}
	text := fmt.Sprintf(`
app = "web"
source = "s3://releases"
channels = ["stable", "canary"]
[trust]
keys = ["/key.pub"]
floor = { stable = %d }
[install]
root = %q
max_rate = "%d"
delta = %q
verify = %q
images = %q
fsverity = %t
[service]
unit = "web.service"
[health]
tcp = "127.0.0.1:1"
[lifecycle]
on_failure = %q
continue_jitter = %q
abandon_delay = %q
[fallback]
when = [%s]
max_age = %q
[signal]
stack = %q
resource = %q
[notify]
command = ["pager"]
[state]
dir = %q
run = %q
`, w.floor, filepath.Join(w.dir, "opt"), w.maxRate, cmp.Or(w.delta, config.DeltaSync), cmp.Or(w.verify, config.VerifyLaunch), cmp.Or(w.images, config.ImagesNever), w.fsverity, onFailure, w.spreadOver, w.holdFor, quoted(w.when), w.age, w.stack, resource, filepath.Join(w.dir, "state"), filepath.Join(w.dir, "run"))
	if w.node != nil {
		text += fmt.Sprintf("[node_id]\nscope = %q\n", cmp.Or(w.renamed, "web")) + w.nodeKeys
	}
	if w.records != nil {
		text += "[fleet]\nreport = true\n"
	}
	c, err := config.Parse(config.File{Name: "koboshi.toml", Data: []byte(text + w.flush)})
	if err != nil {
		w.t.Fatal(err)
	}
	c.Service.Reload = w.reload
	c.Drain.Rebalance = cmp.Or(w.rebalance, c.Drain.Rebalance)
	c.State.Dir = cmp.Or(w.stateDir, c.State.Dir)
	return c
}

func quoted(list []string) string {
	var b bytes.Buffer
	for _, s := range list {
		fmt.Fprintf(&b, "%q,", s)
	}
	return b.String()
}

// current is the version that the link current points to, "" for none.
func (w *world) current() string { return w.linked("current") }

func (w *world) linked(link string) string {
	w.t.Helper()
	dir, err := filepath.EvalSymlinks(filepath.Join(w.dir, "opt", link))
	if errors.Is(err, os.ErrNotExist) {
		return ""
	}
	if err != nil {
		w.t.Fatal(err)
	}
	name := filepath.Base(filepath.Dir(dir)) // of releases/<id>/tree
	return name[:len(name)-len("-0123456789ab")]
}

type machine struct{ *world }

func (m machine) Identity(context.Context) (instance.Identity, error) {
	m.roundTrip()
	return instance.Identity{ID: m.id, Region: "eu-central-1", AZ: "eu-central-1a"}, m.identityErr
}

func (m machine) Tags(_ context.Context, names ...string) (map[string]string, error) {
	m.roundTrip()
	if m.onTags != nil {
		m.onTags()
	}
	known := maps.Clone(m.tags)
	maps.DeleteFunc(known, func(k, _ string) bool { return !slices.Contains(names, k) })
	return known, m.tagsErr
}

func (m machine) TargetState(context.Context) (string, error) {
	m.roundTrip()
	m.asking.Lock() // the launch and the search for its action ask
	defer m.asking.Unlock()
	if m.onTarget != nil {
		m.onTarget()
	}
	return m.target, m.targetErr
}
