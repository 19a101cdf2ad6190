package lifecycle

import "strings"

// Target is what an Auto Scaling group wants of an instance, as its target
// lifecycle state in instance metadata says.
type Target string

// The targets of an instance.
const (
	NoTarget Target = ""            // in no group, or not known just now
	Serve    Target = "serve"       // InService
	Warm     Target = "warm"        // Warmed:Stopped, Warmed:Running, Warmed:Hibernated: be ready, and serve nobody
	Leave    Target = "leave"       // Terminated, Warmed:Terminated
	Replace  Target = "root-volume" // ReplacingRootVolume: the instance comes back with another root volume
	Rest     Target = "rest"        // Standby, Detached: neither is the group's business, and the app runs on
	Unknown  Target = "unknown"     // a word that this agent does not know
)

// TargetOf reads a target lifecycle state. The suffixes :Wait and :Proceed of a
// lifecycle hook, and :Retained of an instance that is kept after it, say nothing
// about the target.
//
// Source: https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-lifecycle.html
func TargetOf(state string) Target {
	if state == "" {
		return NoTarget
	}
	rest, pool := strings.CutPrefix(state, warmed)
	word, _, _ := strings.Cut(rest, ":")
	switch word {
	case "Terminated", "Terminating":
		return Leave
	case "InService", "Pending":
		if !pool {
			return Serve
		}
		return Warm
	case "Stopped", "Running", "Hibernated":
		if pool {
			return Warm
		}
	case "ReplacingRootVolume":
		return Replace
	case "Standby", "EnteringStandby", "Detached", "Detaching":
		return Rest
	}
	return Unknown
}

// warmed begins the states of a warm pool.
const warmed = "Warmed:"

// Launching reports whether an instance in that state, as [Client.Group] returns
// it, is still being launched, or is on its way out of a warm pool.
func Launching(state string) bool {
	return strings.HasPrefix(strings.TrimPrefix(state, warmed), "Pending")
}

// Leaving reports whether a target lifecycle state means that the instance is to
// be terminated.
func Leaving(target string) bool { return TargetOf(target) == Leave }

// entering reports whether an action of the transition may still begin, or have
// just begun, in the state. A launch action begins again on leaving a warm pool. The
// lifecycle hook for terminating also waits where the root volume is replaced, and
// on the way back into a warm pool.
//
// Source: https://docs.aws.amazon.com/autoscaling/ec2/userguide/warm-pool-instance-lifecycle.html
func entering(state, transition string) bool {
	state = strings.TrimSuffix(state, ":Wait")
	if transition == launching {
		return state == "Pending" || state == warmed+"Pending"
	}
	switch state {
	case "Terminating", warmed + "Terminating", warmed + "Pending", "ReplacingRootVolume":
		return true
	}
	return false
}
