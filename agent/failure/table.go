package failure

import (
	"errors"
	"syscall"

	"koboshi/agent/config"
	"koboshi/agent/drain"
	"koboshi/agent/group"
	"koboshi/agent/guard"
	"koboshi/agent/health"
	"koboshi/agent/instance"
	"koboshi/agent/lease"
	"koboshi/agent/lifecycle"
	"koboshi/agent/nodeid"
	"koboshi/agent/refresh"
	"koboshi/agent/service"
	"koboshi/agent/signer"
	"koboshi/agent/state"
	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/s3"
	"koboshi/artifacts/fetch"
	"koboshi/artifacts/prune"
	"koboshi/artifacts/publish"
	"koboshi/artifacts/retire"
	"koboshi/artifacts/store"
	"koboshi/artifacts/tree"
	"koboshi/systemd"
	"koboshi/systemd/install"
)

// row is one kind of failure.
type row struct {
	is   func(error) bool
	code Code
	kind string // for fallback.when: config.Unavailable, Untrusted or Unhealthy; "" = never stale at launch
	hint string // what can be done, "" where there is nothing to say
}

const actionTimesOut = "; the lifecycle action cannot be completed, its own timeout decides"

// table is read from the top: causes come before the steps that they make
// fail, so that a download that ended at the deadline is the deadline's.
var table = []row{
	{is(ErrFound), Found, "", ""},
	{is(ErrUsage, install.ErrRoot), Usage, "", "see koboshi --help, or --help of the command"},
	{is(guard.ErrNotRestored), Lifecycle, "", "koboshi guard repair puts the group back; it waits for a minute after the lease"},
	{as[*config.Error](), Configuration, "", ""},
	{is(ErrConfiguration), Configuration, "", ""},
	{is(state.ErrLeaving), Locked, "", "the instance is to end; koboshi status shows why, and koboshi drain --undo brings the app back where that is not too late"},
	{is(ErrInterrupted), Interrupted, "", "nothing that was begun counts before it is whole: run it again; at a launch no lifecycle action was completed, and the next boot continues"},
	{nodeID(nodeid.ErrNoWatch), NodeID, "", "enable koboshi-watch.service, or run koboshi watch: it renews the lease; systemctl status koboshi-watch"},
	{nodeID(nodeid.ErrOtherIDs), NodeID, "", "systemctl restart koboshi-watch: it reads its configuration when it starts, and renews what node_id says"},
	{nodeID(lease.ErrClock), NodeID, "", "set this machine's clock (chronyc tracking), or every lease that it takes ends at the wrong time"},
	{nodeID(lease.ErrNone), NodeID, "", "koboshi node-id list shows who holds which id, and when one is free; node_id.range may be too small: koboshi node-id plan"},
	{nodeID(nodeid.ErrTooShort), NodeID, "", "make node_id.lease longer, or TimeoutStopSec= of the app's unit shorter"},
	{nodeID(nodeid.ErrRestarts), NodeID, "", "set RestartSec= of the app's unit to node_id.unit at least"},
	{nodeID(nodeid.ErrNone), NodeID, "", "koboshi sync claims one and starts the app"},
	{nodeID(lease.ErrLost), NodeID, "", "its lease had ended, or an operator has freed the id: koboshi node-id list shows who has it; koboshi watch starts the app again with another one"},
	{nodeID(state.ErrDisk), NodeID, "", "check df -h, df -i and the permissions of state.dir and state.run: no id is used before it is durable which one"},
	{nodeID(lease.ErrNoTable, lease.ErrKeys), NodeID, "", "koboshi help node-ids shows how the table is made; compare its name and region with node_id.table"},
	{nodeID(bucket.ErrDenied, bucket.ErrCredentials, instance.ErrNoCredentials), NodeID, "", "koboshi iam-policy prints the rights that node_id.table needs; koboshi node-id init checks them"},
	{nodeID(), NodeID, "", "check route and VPC endpoint to node_id.table: koboshi doctor checks the table, the clock and the lease; koboshi node-id init tries the table out"},
	{is(lease.ErrItem), NodeID, "", "what koboshi has not written it leaves alone, and gives no instance that id: find out who has written it"},
	{is(lease.ErrRenewed), NodeID, "", "its instance runs koboshi watch: koboshi drain there stops its app and releases the id"},
	{is(lease.ErrFree, lease.ErrOwner, lease.ErrChanged), NodeID, "", "koboshi node-id list shows how each id stands"},
	{is(lease.ErrKeys), Configuration, "", "koboshi help node-ids shows how the table is made; another one may not be used for node ids"},
	{is(lease.ErrNoTable), Resolve, "", "koboshi help node-ids shows how the table is made; ?region=eu-west-1 behind it names its region"},
	{is(ErrDeadline), Deadline, "", "lifecycle.deadline bounds a whole boot; koboshi status --timeline shows where the time went"},
	{is(state.ErrLocked), Locked, "", "another koboshi is running for this app; wait until it has ended; koboshi sync --wait does"},

	{is(instance.ErrNoCredentials), Credentials, "", "on an instance, attach an instance profile (without it no lifecycle action can be completed, its own timeout decides); elsewhere set AWS_PROFILE or AWS_ACCESS_KEY_ID"},
	{is(instance.ErrDisabled), Metadata, "", "instance metadata is switched off: set HttpEndpoint=enabled for this instance, and no AWS_EC2_METADATA_DISABLED where koboshi runs" + actionTimesOut},
	{is(instance.ErrHopLimit), Metadata, "", "raise HttpPutResponseHopLimit to 2 where koboshi runs in a container" + actionTimesOut},
	{is(instance.ErrUnreachable), Metadata, "", "is this an EC2 instance? koboshi needs IMDSv2 at 169.254.169.254" + actionTimesOut},
	{is(instance.ErrMalformed), Metadata, "", "what answers at 169.254.169.254 is not EC2's metadata: look for a proxy or another cloud" + actionTimesOut},

	{as[*guard.HeldError](), Locked, "", ""},
	{is(guard.ErrLost), Locked, "", "koboshi guard status shows who has taken the group over; what you have begun is not guarded any more"},
	{is(guard.ErrNotSafe), Found, "", ""},
	{is(guard.ErrNotQuiet), Deadline, "", ""},
	{is(guard.ErrEnded), Deadline, "", "koboshi guard release with its fence, or koboshi guard repair, puts the group back; renew sooner, or acquire with a longer --lease"},
	{is(guard.ErrNewer), Resolve, "", "update koboshi where this was run"},
	{is(guard.ErrRecord), Untrusted, "", "look at the object; if it is not koboshi's, or is damaged, move it away and check the group's suspended processes by hand"},
	{is(guard.ErrStore), Configuration, "", "koboshi help network says what a store has to honour: conditional writes, ETags, and a Date"},
	{as[*refresh.RefusedError](), Found, "", ""},
	{as[*refresh.EndedError](), Found, "", ""},
	{is(group.ErrRefreshing), Locked, "", "koboshi refresh status shows it; wait for its end, or koboshi refresh cancel"},
	{is(group.ErrNoRefresh), Resolve, "", "AWS shows the refreshes of the last six weeks; compare --group, and AWS_REGION"},
	{is(group.ErrRefused), Found, "", "nothing was changed; a rollback also needs launch templates with the id of an AMI in them, not an SSM parameter"},
	{is(group.ErrNoGroup), Resolve, "", "compare --group and --codedeploy with aws autoscaling describe-auto-scaling-groups, in the region of AWS_REGION"},
	{is(group.ErrDenied), Credentials, "", "allow what koboshi iam-policy --guard prints"},

	{is(state.ErrDisk), Disk, "", "check space, mount options and permissions of state.dir and state.run; what was running still runs"},
	{is(store.ErrDisk), Disk, "", "check df -h and df -i of install.root; the release that was running is untouched"},
	{is(install.ErrDisk), Disk, "", "check df -h and df -i of the root file system, and whether it is mounted read-only"},
	{is(tree.ErrRefused), Archive, config.Untrusted, "publish the release again from a clean tree; the release that was running is untouched"},
	{is(artifacts.ErrIntegrity), Integrity, config.Untrusted, "the bytes in the bucket are not the ones that were signed: publish a new version and find out who changed them"},
	{is(ErrAltered), Integrity, config.Untrusted, ""},
	{is(artifacts.ErrSigner), Usage, "", "try what --key names by hand: koboshi help security shows what a program that signs is asked for; nothing was written"},
	{is(artifacts.ErrTooLong), Usage, "", "publish fewer platforms, deltas or hooks in one version, or sign with a key that takes more"},
	{is(signer.ErrKind), Usage, "", "aws kms create-key --key-spec ECC_NIST_EDWARDS25519 --key-usage SIGN_VERIFY makes one that signs releases"},
	{is(signer.ErrNoKey), Usage, "", "compare the id, ARN or alias/NAME behind awskms: with aws kms describe-key --key-id, in the region of AWS_REGION"},
	{is(signer.ErrDenied), Credentials, "", "allow kms:Sign and kms:GetPublicKey on the key: koboshi iam-policy --publish --sign-kms-key-id ARN prints it"},
	{is(signer.ErrUnavailable), Fetch, "", "check AWS_REGION and the route to KMS; nothing was written"},
	{is(artifacts.ErrTooOld), Resolve, config.Unavailable, "update koboshi in the AMI before releases ask for it"},
	{is(artifacts.ErrNoPlatform), Resolve, config.Unavailable, "publish the version for this platform too: --platform os/arch=PATH"},
	{is(artifacts.ErrExpired), Untrusted, config.Unavailable, "promote the version again: that signs it with a new expiry"},
	{is(retire.ErrRetired), Untrusted, "", ""},
	{is(retire.ErrTooLong), Deadline, "", "nothing was written: check the network to the bucket, then run it again"},
	{is(retire.ErrStore), Configuration, "", "koboshi releases --check-store tries the store out; koboshi help network says what it has to honour"},
	{is(retire.ErrMark), Untrusted, "", "look at that object: if koboshi has not written it, move it away, and find out who has"},
	{is(retire.ErrState), Found, "", "koboshi releases shows how it is marked"},
	{is(prune.ErrChannel), Untrusted, "", "nothing was removed: look at that object, and promote to the channel again, or move it away"},
	{as[*prune.TornError](), Integrity, "", "nothing more was removed; koboshi releases prune goes on once no channel points to it"},
	{is(publish.ErrConflict), Untrusted, "", "a release is immutable: publish under a new version"},
	{is(publish.ErrUsedUp), Untrusted, "", "instances that have seen this sequence accept no other pointer of the channel: promote to a new channel, and find out who signed it"},
	{as[*publish.RolloutError](), Found, "", ""},
	{is(publish.ErrMoved), Untrusted, "", "check koboshi releases, then promote again if it is still what you want"},
	{is(artifacts.ErrUntrusted), Untrusted, config.Untrusted, "compare the keys that sign with those that are trusted: on an instance trust.keys, trust.promote_keys and their thresholds (koboshi config show), elsewhere --trust FILE.pub"},
	{is(bucket.ErrChanged, bucket.ErrExists), Untrusted, "", "someone else has written to the bucket meanwhile: check koboshi releases, then run it again"},

	{is(lifecycle.ErrNotSignalled), Lifecycle, "", "the stack may wait for its own timeout: check signal.stack and signal.resource, cloudformation:SignalResource, and the route to CloudFormation"},
	{is(lifecycle.ErrNotCompleted), Lifecycle, "", "the lifecycle action's own timeout decides over the instance: check autoscaling:CompleteLifecycleAction and the route to Auto Scaling"},
	{is(drain.ErrDeadline), Deadline, "", "drain.deadline bounds the whole drain; koboshi status --timeline --command drain shows where the time went"},
	{is(drain.ErrLeft), Deadline, "", "koboshi help scale-in has the settings of each log shipper; koboshi drain --dry-run shows how far each is"},
	{is(drain.ErrStop), Activate, "", "check the app's unit (systemctl status, journalctl -u; TimeoutStopSec= bounds its stop), or service.stop"},
	{is(systemd.ErrDisconnected, health.ErrUnknown), Activate, "", "systemd did not answer, so nothing is known of the app: systemctl status; journalctl -b -u init.scope"},
	{is(health.ErrListener), Unhealthy, config.Unhealthy, "stop what has the app's port (ss -ltnp); if it answers for the app, as a proxy does, set health.listener = \"any\""},
	{is(health.ErrSurvivor), Unhealthy, config.Unhealthy, "KillMode= of the app's unit leaves processes of the release before, which may still answer: remove it, or set health.listener = \"any\""},
	{is(health.ErrUnhealthy), Unhealthy, config.Unhealthy, "check the app's own log: journalctl -u its unit, or restart.log in state.run"},
	{is(systemd.ErrOrderedAfterUs), Activate, config.Unhealthy, "take After= on koboshi-boot.service, or on what waits for it such as multi-user.target, out of the app's unit"},
	{is(systemd.ErrNoUnit, service.ErrUnusable), Activate, config.Unhealthy, "install the unit file, or correct service.unit, service.units or service.unit_files; systemctl status shows what systemd knows of it"},
	{is(service.ErrNoReload), Activate, config.Unhealthy, "add ExecReload= to the unit, or remove service.reload: then the unit is restarted"},
	{is(service.ErrHook), Activate, config.Unhealthy, "the hook's output is in koboshi's own log: journalctl -u koboshi-boot, or where sync was called"},
	{is(service.ErrActivate), Activate, config.Unhealthy, "check the app's unit or restart command: systemctl status, journalctl -u"},
	{is(service.ErrNoStop), Configuration, "", "set service.stop to a command that stops the app"},

	{is(store.ErrNoPrevious), Resolve, "", "koboshi rollback --version goes to any version that is installed or published"},
	{is(state.ErrNotLaunched), Resolve, "", "koboshi boot has to have started a release here first"},
	{is(bucket.ErrCredentials), Credentials, config.Unavailable, "the credentials have expired or are not this account's: check the instance profile, or AWS_PROFILE and the clock elsewhere"},
	{is(bucket.ErrDenied), Credentials, config.Unavailable, "allow s3:GetObject on this prefix, and s3:ListBucket to distinguish missing from forbidden"},
	{is(bucket.ErrNotFound), Resolve, config.Unavailable, "koboshi releases lists what is published and what channels point to"},
	{is(group.ErrUnavailable), Fetch, "", "check the route to Auto Scaling and CodeDeploy, AWS_REGION, and whether the account's calls are throttled"},
	{is(fetch.ErrTransport), Fetch, config.Unavailable, "check route, VPC endpoint and proxy; koboshi status --timeline shows how often it was tried"},
	{as[*lease.RowsError](), Fetch, config.Unavailable, "check route, VPC endpoint, proxy and AWS_ENDPOINT_URL"},
	{as[*s3.Error](), Fetch, config.Unavailable, "check route, VPC endpoint, proxy and AWS_ENDPOINT_URL"},

	{errno(syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EIO), Disk, "", "it could not be written there: check df -h and df -i, and whether the file system is mounted read-only; a release is packed in $TMPDIR"},
}

// unsorted is a bug: every failure that can happen has a row.
var unsorted = row{code: Internal}

// is matches any of the sentinels.
func is(sentinels ...error) func(error) bool {
	return func(err error) bool {
		for _, sentinel := range sentinels {
			if errors.Is(err, sentinel) {
				return true
			}
		}
		return false
	}
}

// nodeID matches what keeps a machine from its node id, and any of the causes.
func nodeID(causes ...error) func(error) bool {
	return func(err error) bool {
		return errors.Is(err, nodeid.ErrNodeID) && (len(causes) == 0 || is(causes...)(err))
	}
}

// as matches a type.
func as[E error]() func(error) bool {
	return func(err error) bool {
		_, ok := errors.AsType[E](err)
		return ok
	}
}
