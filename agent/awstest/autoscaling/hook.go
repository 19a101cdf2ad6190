package autoscaling

import (
	"fmt"
	"time"

	"koboshi/agent/awstest/query"
)

// Transition is when a lifecycle hook makes an instance wait.
type Transition string

// The two transitions, named as the API names them.
const (
	OnLaunch    Transition = "autoscaling:EC2_INSTANCE_LAUNCHING"
	OnTerminate Transition = "autoscaling:EC2_INSTANCE_TERMINATING"
)

// UnmarshalText also takes the short names launching and terminating.
func (t *Transition) UnmarshalText(text []byte) error {
	switch name := string(text); name {
	case "launching":
		*t = OnLaunch
	case "terminating":
		*t = OnTerminate
	default:
		*t = Transition(name)
	}
	return nil
}

// Result is how a lifecycle action ends.
type Result string

// The two results.
const (
	Continue Result = "CONTINUE"
	Abandon  Result = "ABANDON"
)

// Hook is a lifecycle hook of a group.
type Hook struct {
	Name             string        `json:"name"`
	Transition       Transition    `json:"transition"`                  // in JSON launching or terminating will do
	HeartbeatTimeout time.Duration `json:"heartbeat_timeout,omitempty"` // 0 = 3600 s. The API takes 30 to 7200 s, Go code any
	DefaultResult    Result        `json:"default_result,omitempty"`    // "" = ABANDON
}

const (
	defaultHeartbeatTimeout = time.Hour
	maxWait                 = 48 * time.Hour // or 100 timeouts, whichever is sooner
	maxHooks                = 50             // of a group
)

// withDefaults sets the defaults of AWS, or returns the error of AWS.
func (h Hook) withDefaults() (Hook, error) {
	if h.HeartbeatTimeout == 0 {
		h.HeartbeatTimeout = defaultHeartbeatTimeout
	}
	if h.DefaultResult == "" {
		h.DefaultResult = Abandon
	}
	switch {
	case h.Name == "":
		return h, query.Invalid("LifecycleHookName is required")
	case h.Transition != OnLaunch && h.Transition != OnTerminate:
		return h, query.Invalid(fmt.Sprintf("Invalid lifecycle transition %q", h.Transition))
	case h.HeartbeatTimeout < 0:
		return h, query.Invalid("HeartbeatTimeout must be positive")
	case h.DefaultResult != Continue && h.DefaultResult != Abandon:
		return h, query.Invalid(fmt.Sprintf("Invalid lifecycle action result %q", h.DefaultResult))
	}
	return h, nil
}

// globalLimit is how long heartbeats can keep an instance waiting.
func (h Hook) globalLimit() time.Duration {
	return min(maxWait, 100*h.HeartbeatTimeout)
}

// Ending is what ended an action.
type Ending string

// The endings; "" is an action that still waits.
const (
	ByCall    Ending = "call"    // CompleteLifecycleAction
	ByTimeout Ending = "timeout" // no heartbeat in time, or the global limit: the hook's default result
	ByDelete  Ending = "delete"  // its hook was deleted: ABANDON at launch, CONTINUE at termination
	Dropped   Ending = "dropped" // another hook abandoned, or the instance was terminated: no result
)

// Action is one lifecycle action: the wait of one instance for one hook, and how it ended.
type Action struct {
	Hook       string     `json:"hook"`
	Transition Transition `json:"transition"`
	Token      string     `json:"token"`
	Began      time.Time  `json:"began"`
	Deadline   time.Time  `json:"deadline"`   // moved by each heartbeat
	Heartbeats int        `json:"heartbeats"` // RecordLifecycleActionHeartbeat calls that counted
	Result     Result     `json:"result,omitempty"`
	Ending     Ending     `json:"ending,omitempty"`
	Ended      time.Time  `json:"ended,omitzero"`
}

// action is an open Action, with the hook as it was when the action began.
type action struct {
	Action
	hook Hook
}

func (a *action) open() bool { return a.Ending == "" }

// beat moves the deadline, never past the global limit.
func (a *action) beat(now time.Time) {
	a.Deadline = now.Add(a.hook.HeartbeatTimeout)
	if limit := a.Began.Add(a.hook.globalLimit()); a.Deadline.After(limit) {
		a.Deadline = limit
	}
}

func (a *action) end(result Result, how Ending, at time.Time) {
	a.Result, a.Ending, a.Ended = result, how, at
}
