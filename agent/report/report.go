package report

import (
	"fmt"
	"time"
)

// Verdict says how a run ended.
type Verdict string

// The verdicts of a run.
const (
	Fresh   Verdict = "fresh"   // installed the target
	Current Verdict = "current" // the target was installed already
	Stale   Verdict = "stale"   // the target is unavailable, the last known good release is running
	Held    Verdict = "held"    // an operator keeps this instance at its release
	Drained Verdict = "drained" // out of service, and ready to end
	Failed  Verdict = "failed"
)

// Release names an installed or wanted release. ManifestSHA256 is the
// lower-case hex hash of the manifest envelope. ActivatedAt is zero for a
// release that has not passed the gate on this instance. Healthy is set where
// the run ended with the release up and past the gate.
type Release struct {
	Version        string    `json:"version"`
	ManifestSHA256 string    `json:"manifest_sha256"`
	Sequence       int64     `json:"sequence"`
	ActivatedAt    time.Time `json:"activated_at,omitzero"`
	Healthy        bool      `json:"healthy,omitzero"`
}

// Rollout is a release that a share of the channel's instances gets, in percent, and
// whether this instance is among them.
type Rollout struct {
	Version string `json:"version"`
	Percent int    `json:"percent"`
	In      bool   `json:"in"`
}

// String is the rollout in a line.
func (r Rollout) String() string {
	if r.In {
		return fmt.Sprintf("%s to %d %%, this instance is in", r.Version, r.Percent)
	}
	return fmt.Sprintf("%s to %d %%, this instance is not in", r.Version, r.Percent)
}

// Pointed is what the channel points to for this instance, in a few words.
func (r Report) Pointed() string {
	text := fmt.Sprintf("channel %s points to %s", r.Channel, r.Target.Version)
	if r.Rollout != nil && r.Rollout.In {
		text += fmt.Sprintf(" (a rollout to %d %%)", r.Rollout.Percent)
	}
	return text
}

// Instance is the machine that the run was on. Group is empty outside an Auto
// Scaling group.
type Instance struct {
	ID     string `json:"id"`
	Region string `json:"region"`
	AZ     string `json:"az"`
	Group  string `json:"group"`
}

// Lifecycle is the lifecycle action of the run: Hook is the name of its
// lifecycle hook, Result is CONTINUE, ABANDON, or empty where none was
// completed, Heartbeats how many were sent.
type Lifecycle struct {
	Hook       string `json:"hook"`
	Result     string `json:"result"`
	Heartbeats int    `json:"heartbeats"`
}

// Stack is the resource of a CloudFormation stack that the run has signalled, and
// Result SUCCESS or FAILURE; all are empty where none was.
type Stack struct {
	Name     string `json:"name"`
	Resource string `json:"resource"`
	Result   string `json:"result"`
}

// Error is why a run failed: the exit code, one line, and what can be done
// about it. Output is what the app last wrote, line by line, where it did not
// come up.
type Error struct {
	Code    int      `json:"code"`
	Message string   `json:"message"`
	Hint    string   `json:"hint,omitzero"`
	Output  []string `json:"output,omitzero"`
}

// Schema is the version of the reports' and the history's format. New keys do
// not change it; it grows when a key comes to mean something else.
const Schema = 1

// Report is one run, as <state>/reports/<command>.json holds it and
// `status --json` prints it. Order is 1 for the first run that is recorded on
// the machine and grows with each: the clock may be set back, the order is not.
// Command is "boot", "sync" and so on, Agent the agent's version, Started UTC,
// MS the duration in milliseconds. Where there is no such release, rollout, node id or
// error, the field is nil. By is the person who ran the command, empty for a unit;
// Reason is why the machine is held, and Until how long, zero for a hold without
// an end. Unseen is set where it could not be read which release
// is current: then a nil Release does not say that there is none.
type Report struct {
	Schema    int       `json:"schema"`
	Order     int64     `json:"order"`
	Agent     string    `json:"agent"`
	Command   string    `json:"command"`
	App       string    `json:"app"`
	Channel   string    `json:"channel"`
	Verdict   Verdict   `json:"verdict"`
	Started   time.Time `json:"started"`
	By        string    `json:"by,omitzero"`
	Reason    string    `json:"reason,omitzero"`
	Until     time.Time `json:"until,omitzero"`
	MS        int64     `json:"ms"`
	Release   *Release  `json:"release,omitzero"`
	Previous  *Release  `json:"previous,omitzero"`
	Target    *Release  `json:"target,omitzero"`
	Rollout   *Rollout  `json:"rollout,omitzero"`
	Unseen    bool      `json:"unseen,omitzero"`
	Instance  Instance  `json:"instance"`
	Lifecycle Lifecycle `json:"lifecycle"`
	Stack     Stack     `json:"stack,omitzero"`
	NodeID    *int      `json:"node_id,omitzero"`
	Node      *Node     `json:"node,omitzero"`
	Drain     *Drain    `json:"drain,omitzero"`
	Steps     []Step    `json:"steps"`
	Error     *Error    `json:"error,omitzero"`
	Warnings  []string  `json:"warnings,omitzero"`
}
