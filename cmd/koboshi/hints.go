package main

import (
	"context"
	"errors"
	"fmt"

	"koboshi/agent"
	"koboshi/agent/config"
	"koboshi/agent/health"
	"koboshi/agent/instance"
	"koboshi/agent/status"
	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/s3"
	"koboshi/artifacts/fetch"
	"koboshi/artifacts/publish"
	"koboshi/artifacts/store"
	"koboshi/artifacts/unpack"
	"koboshi/systemd"
)

// maxMessage bounds an error line, in bytes. Errors quote what is not trusted.
const maxMessage = 600

// explain is an error as people and reports see it: its exit code, one line of
// text, and what can be done.
func explain(err error) *status.Error {
	return &status.Error{Code: exitCode(err), Message: status.Clean(err.Error(), maxMessage), Hint: hint(err)}
}

// hint says what can be done about an error, or nothing.
func hint(err error) string {
	if h, ok := errors.AsType[hinted](err); ok {
		return h.hint
	}
	if e, ok := errors.AsType[*config.Error](err); ok && e.Hint != "" {
		return e.Hint
	}
	if e, ok := errors.AsType[*s3.Error](err); ok && config.IsRegion(e.Region) {
		return fmt.Sprintf("the bucket is in %s: write its source as s3://%s/…?region=%s", e.Region, e.Bucket, e.Region)
	}
	for _, h := range hints {
		if errors.Is(err, h.err) {
			return h.text
		}
	}
	return ""
}

var hints = []struct {
	err  error
	text string
}{
	{errUsage, "see koboshi --help, or --help of the command"},
	{agent.ErrDeadline, "lifecycle.deadline bounds a whole boot; koboshi status --timeline shows where the time went"},
	{agent.ErrInterrupted, "the next run goes on where this one ended; a launch hook has not been told"},
	{context.Canceled, "nothing that was begun counts before it is whole: run it again"},
	{store.ErrLocked, "another koboshi is at work on this app; wait for it, or use --wait"},
	{instance.ErrDisabled, "instance metadata is switched off for this instance: set HttpEndpoint=enabled; the hook cannot be told, its own timeout decides"},
	{instance.ErrHopLimit, "raise HttpPutResponseHopLimit to 2 where koboshi runs in a container; the hook cannot be told, its own timeout decides"},
	{instance.ErrUnreachable, "is this an EC2 instance? koboshi needs IMDSv2 at 169.254.169.254; the hook cannot be told, its own timeout decides"},
	{instance.ErrMalformed, "what answers at 169.254.169.254 is not EC2's metadata: look for a proxy or another cloud; the hook cannot be told, its own timeout decides"},
	{instance.ErrNoCredentials, "on an instance, attach an instance profile (without it the hook cannot be told, its own timeout decides); elsewhere set AWS_PROFILE or AWS_ACCESS_KEY_ID"},
	{store.ErrDisk, "look at df -h and df -i of install.root; what served before is untouched"},
	{unpack.ErrRefused, "publish the release again from a clean tree; what served before is untouched"},
	{artifacts.ErrIntegrity, "the bytes in the bucket are not the ones that were signed: publish a new version and find out who changed them"},
	{artifacts.ErrTooOld, "update koboshi in the AMI before releases ask for it"},
	{artifacts.ErrNoPlatform, "publish the version for this platform too: --platform os/arch=PATH"},
	{artifacts.ErrExpired, "promote the version again: that signs it with a new expiry"},
	{publish.ErrConflict, "a release is immutable: publish under a new version"},
	{publish.ErrMoved, "look at koboshi releases, then promote again if it is still what you want"},
	{artifacts.ErrUntrusted, "compare trust.keys and trust.threshold with the keys that sign: koboshi config show"},
	{bucket.ErrDenied, "allow s3:GetObject on this prefix, and s3:ListBucket to tell missing from forbidden"},
	{bucket.ErrNotFound, "koboshi releases lists what is published and what channels name"},
	{agent.ErrNoPrevious, "koboshi sync --version installs any published version"},
	{agent.ErrNotLaunched, "koboshi boot has to have served a release here first"},
	{agent.ErrLifecycle, "the app serves, but the hook's timeout decides over the instance: check autoscaling:CompleteLifecycleAction"},
	{health.ErrUnhealthy, "look at the app's own log: journalctl -u its unit"},
	{systemd.ErrOrderedAfterUs, "take After= on koboshi-boot.service, or on what waits for it such as multi-user.target, out of the app's unit"},
	{agent.ErrHook, "what the hook wrote is in koboshi's own log: journalctl -u koboshi-boot, or where sync was called"},
	{agent.ErrActivate, "look at the app's unit or restart command: systemctl status, journalctl -u"},
	{fetch.ErrTransport, "look at what lies between here and the bucket: route, VPC endpoint, proxy; koboshi status --timeline tells how often it was tried"},
}

// hinted is an error that brings its own hint.
type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }
