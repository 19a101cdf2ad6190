package drain

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"koboshi/agent/balancer"
	"koboshi/agent/lifecycle"
	"koboshi/agent/notice"
	"koboshi/artifacts/pace"
)

// Groups are the target groups of load balancers that have to let the instance go.
// The zero Groups are none.
type Groups struct {
	ARNs       []string
	Deregister bool // the instance out of them; else someone else does
	Balancer   Balancer
}

// Balancer is the part of balancer.Client that a drain needs.
type Balancer interface {
	Deregister(ctx context.Context, group, instance string) error
	// Unused reports whether the group sends the instance nothing any more, and
	// nothing is in flight.
	Unused(ctx context.Context, group, instance string) (bool, error)
}

// letGo lets the app serve until nothing is sent to it any more: until each target
// group says so, and until the lifecycle hook waits, which Auto Scaling begins after
// its own deregistration. Where neither is to be waited for, the app serves until
// the machine shuts down, except where that comes at a known time.
//
// Whatever fails, the app serves until the later steps need what is left of the time.
func (d *Drain) letGo(ctx context.Context) (string, error) {
	if d.nothingLetsGo() {
		return d.serveOn(ctx)
	}
	done := make(chan error, 2)
	go func() { done <- d.leaveGroups(d.serving) }()
	go func() { done <- d.awaitHook(d.serving) }()
	return d.served(ctx, errors.Join(<-done, <-done))
}

// errReserve ends the let-go of a drain whose other steps need the time.
var errReserve = errors.New("the other steps need the time that is left")

// served is how the let-go ended. What has failed is a warning: the instance goes
// in any case.
func (d *Drain) served(ctx context.Context, err error) (string, error) {
	switch cause := context.Cause(d.serving); {
	case d.withdrawn.Load():
		return "", ErrWithdrawn
	case errors.Is(cause, errShutdown):
		return errShutdown.Error(), nil
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case cause != nil && err != nil:
		d.warn("stopped while it may still be sent requests, since %v: %v", cause, err)
		return cause.Error(), nil
	}
	return "", nil
}

// serveOn is the let-go of an instance that nothing lets go.
func (d *Drain) serveOn(ctx context.Context) (string, error) {
	if !d.untilShutdown() {
		return "no load balancer and no lifecycle hook to wait for", nil
	}
	<-d.serving.Done()
	return d.served(ctx, nil)
}

// untilShutdown reports whether the app serves until systemd stops it: nothing lets
// the instance go, and nothing says when it ends.
func (d *Drain) untilShutdown() bool {
	switch d.Record.Reason {
	case notice.Spot, notice.Operator, notice.Shutdown:
		return false
	}
	return d.at() <= d.position("let-go") && d.nothingLetsGo()
}

func (d *Drain) nothingLetsGo() bool {
	return len(d.Groups.ARNs) == 0 && d.Action == (lifecycle.Action{}) && d.Find == nil
}

// leaveGroups returns once every target group says that the instance is unused. It is
// deregistered from all of them first: each has a delay of its own.
func (d *Drain) leaveGroups(ctx context.Context) error {
	refused := make([]error, len(d.Groups.ARNs))
	for i, group := range d.Groups.ARNs {
		refused[i] = d.deregister(ctx, group)
	}
	var failed error
	for i, group := range d.Groups.ARNs {
		failed = errors.Join(failed, d.leaveGroup(ctx, group, refused[i]))
	}
	return failed
}

// leaveGroup asks on. What was refused is tried again.
func (d *Drain) leaveGroup(ctx context.Context, group string, refused error) error {
	return d.ask(ctx, func(ctx context.Context) (bool, error) {
		if refused != nil {
			refused = d.deregister(ctx, group)
		}
		unused, err := d.Groups.Balancer.Unused(ctx, group, d.Record.Instance)
		if errors.Is(err, balancer.ErrNoGroup) {
			d.warn("%s: %v", groupName(group), err)
			return true, nil
		}
		if err == nil && !unused {
			err = fmt.Errorf("%s still has the instance", groupName(group))
		}
		return unused, err
	})
}

func (d *Drain) deregister(ctx context.Context, group string) error {
	if !d.Groups.Deregister {
		return nil
	}
	err := d.Groups.Balancer.Deregister(ctx, group, d.Record.Instance)
	if err != nil {
		d.warn("not deregistered from %s: %v", groupName(group), err)
	}
	return err
}

// groupName is the name in a target group's ARN.
func groupName(arn string) string {
	if parts := strings.Split(arn, "/"); len(parts) > 1 {
		return "target group " + parts[1]
	}
	return arn
}

// awaitHook returns once a heartbeat is taken: the lifecycle hook waits. Heartbeats
// are kept up from then on.
func (d *Drain) awaitHook(ctx context.Context) error {
	if d.Action == (lifecycle.Action{}) && d.Find == nil {
		return nil
	}
	return d.ask(ctx, func(ctx context.Context) (bool, error) {
		err := d.find(ctx)
		switch {
		case err != nil:
		case d.Action == (lifecycle.Action{}):
			err = lifecycle.ErrNoHook
		default:
			err = d.Hooks.Heartbeat(ctx, d.Action)
		}
		if err == nil {
			d.Beats.Store(1)
			d.keepAlive(ctx)
		}
		return err == nil, err
	})
}

// The pauses between two questions: each costs a call of a rate that the account
// shares.
const (
	firstPause   = 5 * time.Second
	longestPause = 30 * time.Second
	// beatsAfter is when heartbeats have to be kept up: the first was taken just before,
	// and no lifecycle hook waits for less than 30 s.
	beatsAfter = 10 * time.Second
)

// ask asks until the answer is yes, after 5 s at first and then 1.5 times as long,
// up to 30 s, each by up to a quarter later. When ctx ends, the error is the last one. A
// question that never gets an answer, such as about a foreign lifecycle hook, is not
// asked again.
func (d *Drain) ask(ctx context.Context, question func(context.Context) (bool, error)) error {
	pause := firstPause
	var last error
	for n := 1; ; n++ {
		longer := time.Duration(pace.Share(d.Record.Instance, n) * float64(pause/4))
		if err := pace.Sleep(ctx, min(longestPause, pause+longer)); err != nil {
			return last
		}
		yes, err := question(ctx)
		switch {
		case yes && err == nil:
			return nil
		case errors.Is(err, lifecycle.ErrForeignHook):
			d.warn("%v", err)
			return nil
		case err != nil && ctx.Err() == nil:
			last = err
		}
		pause = min(longestPause, pause*3/2)
	}
}
