package autoscaling

import "strings"

// State is a lifecycle state as DescribeAutoScalingInstances shows it; "" is
// an instance outside any group.
// https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-lifecycle.html
type State string

// The states of a group's instances.
const (
	Pending             State = "Pending"
	PendingWait         State = "Pending:Wait"
	PendingProceed      State = "Pending:Proceed"
	InService           State = "InService"
	Terminating         State = "Terminating"
	TerminatingWait     State = "Terminating:Wait"
	TerminatingProceed  State = "Terminating:Proceed"
	TerminatingRetained State = "Terminating:Retained"
	Terminated          State = "Terminated"

	EnteringStandby State = "EnteringStandby"
	Standby         State = "Standby"
	Detaching       State = "Detaching"
	Detached        State = "Detached"

	ReplacingRootVolume        State = "ReplacingRootVolume"
	ReplacingRootVolumeWait    State = "ReplacingRootVolume:Wait"
	ReplacingRootVolumeProceed State = "ReplacingRootVolume:Proceed"
	RootVolumeReplaced         State = "RootVolumeReplaced"
)

// The states of the instances in a warm pool.
// https://docs.aws.amazon.com/autoscaling/ec2/userguide/warm-pool-instance-lifecycle.html
const (
	WarmedPending             State = "Warmed:Pending"
	WarmedPendingWait         State = "Warmed:Pending:Wait"
	WarmedPendingProceed      State = "Warmed:Pending:Proceed"
	WarmedStopped             State = "Warmed:Stopped"
	WarmedRunning             State = "Warmed:Running"
	WarmedHibernated          State = "Warmed:Hibernated"
	WarmedTerminating         State = "Warmed:Terminating"
	WarmedTerminatingWait     State = "Warmed:Terminating:Wait"
	WarmedTerminatingProceed  State = "Warmed:Terminating:Proceed"
	WarmedTerminatingRetained State = "Warmed:Terminating:Retained"
	WarmedTerminated          State = "Warmed:Terminated"
)

// warm stands in the table for the state that the pool keeps its instances in.
const warm State = "Warmed"

// event is what moves an instance from state to state.
type event int

const (
	hooked    event = iota // a hook makes the transition wait
	passed                 // nothing (more) to wait for
	leaving                // scale-in, abandoned launch, TerminateInstanceInAutoScalingGroup
	retaining              // a terminating action was abandoned, and the group retains
	joining                // out of the warm pool, or of standby
	standing               // EnterStandby
	detaching              // DetachInstances
	replacing              // of the root volume
)

// lifecycle is the whole state machine: an event without an entry changes nothing.
// Where an instance goes that returns to the warm pool is the pool's matter.
var lifecycle = map[State]map[event]State{
	Pending:             {hooked: PendingWait, passed: InService, leaving: Terminating},
	PendingWait:         {passed: PendingProceed, leaving: Terminating},
	PendingProceed:      {passed: InService, leaving: Terminating},
	InService:           {leaving: Terminating, standing: EnteringStandby, detaching: Detaching, replacing: ReplacingRootVolume},
	Terminating:         {hooked: TerminatingWait, passed: Terminated},
	TerminatingWait:     {passed: TerminatingProceed, retaining: TerminatingRetained},
	TerminatingProceed:  {passed: Terminated},
	TerminatingRetained: {leaving: Terminated},

	EnteringStandby: {passed: Standby, leaving: Terminating},
	Standby:         {joining: Pending, leaving: Terminating, detaching: Detaching},
	Detaching:       {passed: Detached},

	ReplacingRootVolume:        {hooked: ReplacingRootVolumeWait, passed: RootVolumeReplaced, leaving: Terminating},
	ReplacingRootVolumeWait:    {passed: ReplacingRootVolumeProceed, leaving: Terminating},
	ReplacingRootVolumeProceed: {passed: RootVolumeReplaced, leaving: Terminating},
	RootVolumeReplaced:         {passed: Pending, leaving: Terminating},

	WarmedPending:             {hooked: WarmedPendingWait, passed: warm, leaving: WarmedTerminating},
	WarmedPendingWait:         {passed: WarmedPendingProceed, leaving: WarmedTerminating},
	WarmedPendingProceed:      {passed: warm, leaving: WarmedTerminating},
	WarmedStopped:             {joining: Pending, leaving: WarmedTerminating},
	WarmedRunning:             {joining: Pending, leaving: WarmedTerminating},
	WarmedHibernated:          {joining: Pending, leaving: WarmedTerminating},
	WarmedTerminating:         {hooked: WarmedTerminatingWait, passed: WarmedTerminated},
	WarmedTerminatingWait:     {passed: WarmedTerminatingProceed, retaining: WarmedTerminatingRetained},
	WarmedTerminatingProceed:  {passed: WarmedTerminated},
	WarmedTerminatingRetained: {leaving: WarmedTerminated},
}

// target is what IMDS shows at autoscaling/target-lifecycle-state: where the
// instance is going, not where it is. What it shows while a root volume is
// replaced is not documented: here it is a word that the documentation of IMDS
// does not have.
//
// Source: https://docs.aws.amazon.com/autoscaling/ec2/userguide/retrieving-target-lifecycle-state-through-imds.html
func (i *Instance) target() State {
	switch i.state {
	case "":
		return ""
	case EnteringStandby, Standby:
		return Standby
	case Detaching, Detached:
		return Detached
	case ReplacingRootVolume, ReplacingRootVolumeWait, ReplacingRootVolumeProceed, RootVolumeReplaced:
		return RootVolumeReplaced
	case WarmedPending, WarmedPendingWait, WarmedPendingProceed:
		return i.model.poolState(i)
	case WarmedStopped, WarmedRunning, WarmedHibernated:
		return i.state
	case Pending, PendingWait, PendingProceed, InService:
		return InService
	}
	switch {
	case i.returns:
		return i.model.poolState(i)
	case i.state.pooled():
		return WarmedTerminated
	}
	return Terminated
}

// pooled reports whether the instance is in a warm pool, or on its way there.
func (s State) pooled() bool { return strings.HasPrefix(string(s), "Warmed:") }

// over reports whether the instance is gone for good.
func (s State) over() bool { return s == Terminated || s == WarmedTerminated }

// counts reports whether the instance counts for the group's desired capacity.
func (s State) counts() bool {
	switch s {
	case Pending, PendingWait, PendingProceed, InService,
		ReplacingRootVolume, ReplacingRootVolumeWait, ReplacingRootVolumeProceed, RootVolumeReplaced:
		return true
	}
	return false
}

// ends reports whether the instance is terminated, or about to be.
func (s State) ends() bool {
	_, may := lifecycle[s][leaving]
	return !may || s.retained()
}

// retained reports whether the instance waits for someone to look at it.
func (s State) retained() bool { return s == TerminatingRetained || s == WarmedTerminatingRetained }
