//go:build e2e

package main

import (
	"slices"
	"testing"
	"time"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/faults"
	"koboshi/agent/awstest/imds"
	"koboshi/agent/failure"
)

const (
	tokenPath       = "/latest/api/token"
	identityPath    = "/latest/dynamic/instance-identity/document"
	tagsPath        = "/latest/meta-data/tags/instance"
	credentialsPath = "/latest/meta-data/iam/security-credentials"
)

// TestE2EIMDS boots on instances whose metadata misbehaves. Without metadata or
// credentials the lifecycle action cannot be completed; in all other cases it is
// completed with CONTINUE.
func TestE2EIMDS(t *testing.T) {
	l := newLab(t)
	l.release("1", 0)
	cases := []imdsCase{
		{name: "in order", tokens: 1},
		{name: "token expired mid-run", faults: []faults.Fault{{Path: tagsPath, Status: 401, Times: 1}}, tokens: 2},
		{name: "token expired before the credentials", faults: []faults.Fault{{Path: credentialsPath, Status: 401, Times: 1}}, tokens: 2},
		{name: "tags off", options: autoscaling.LaunchOptions{TagsOff: true}},
		{name: "throttled", faults: []faults.Fault{{Status: 429, Times: 2}}},
		{name: "500 and 503", faults: []faults.Fault{{Path: identityPath, Status: 500, Times: 1}, {Path: identityPath, Status: 503, Times: 1}}},
		{name: "connections reset", faults: []faults.Fault{{Reset: true, Times: 3}}},
		{name: "slow", faults: []faults.Fault{{Delay: faults.Duration(300 * time.Millisecond)}}},
		{name: "slow beyond its limit, once", faults: []faults.Fault{{Path: identityPath, Hang: true, Times: 1}}},
		{name: "no token over an open connection, once", faults: []faults.Fault{{Path: tokenPath, Hang: true, Times: 1}}},
		{name: "credentials after 3 s", slow: true, options: autoscaling.LaunchOptions{IMDS: imds.Switches{CredentialsAfter: 3 * time.Second}}},
		{name: "disabled", options: autoscaling.LaunchOptions{IMDS: imds.Switches{Disabled: true}}, code: failure.Metadata, says: "disabled", hint: "HttpEndpoint=enabled"},
		{name: "hop limit", slow: true, options: autoscaling.LaunchOptions{IMDS: imds.Switches{HopLimit: true}}, code: failure.Metadata, says: "no token", hint: "HttpPutResponseHopLimit"},
		{name: "unreachable", slow: true, faults: []faults.Fault{{Reset: true}}, code: failure.Metadata, says: "cannot be reached", hint: "IMDSv2"},
		{name: "a redirect", faults: []faults.Fault{{Path: identityPath, Status: 302, Header: map[string]string{"Location": "http://127.0.0.1:1/"}}}, code: failure.Metadata, says: "not expected"},
		{name: "garbage for a token", faults: []faults.Fault{{Path: tokenPath, Body: "a\nb"}}, code: failure.Metadata, says: "no token in the answer"},
		{name: "garbage for an identity", faults: []faults.Fault{{Path: identityPath, Body: "<html>"}}, code: failure.Metadata, says: "not expected"},
		{name: "an identity without end", faults: []faults.Fault{{Path: identityPath, ExtraBytes: 8 << 20}}, code: failure.Metadata, says: "more than"},
		{name: "no role", slow: true, options: autoscaling.LaunchOptions{IMDS: imds.Switches{NoRole: true}}, code: failure.Credentials, says: "no role credentials", hint: "instance profile"},
		{name: "credentials with another code", slow: true, options: autoscaling.LaunchOptions{IMDS: imds.Switches{CredentialsCode: "AssumeRoleUnauthorizedAccess"}}, code: failure.Credentials, says: "AssumeRoleUnauthorizedAccess", hint: "instance profile"},
	}
	slow := map[string]*imdsBoot{}
	for _, c := range cases {
		if c.slow {
			slow[c.name] = l.beginIMDS(c)
		}
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			boot := slow[c.name]
			if boot == nil {
				boot = l.on(t).beginIMDS(c)
			}
			boot.lab = l.on(t)
			boot.judge(c)
		})
	}
}

// TestE2EExpiredTokens makes IMDS forget its tokens while an artifact is being
// fetched, and gives credentials that expire at once.
func TestE2EExpiredTokens(t *testing.T) {
	l := newLab(t)
	l.release("1", noise)
	b := l.launch(autoscaling.LaunchOptions{IMDS: imds.Switches{CredentialsFor: time.Millisecond}})
	b.suffers(on(faults.Fault{Hang: true, Skip: 1}))
	boot := b.start("boot")
	b.await("s3", artifactPath, 2)
	b.instance.ExpireTokens()
	l.aws.Faults().Clear()
	boot.wait().want(t, 0)
	b.told("CONTINUE")
	if n := len(b.calls("imds", tokenPath)); n < 2 {
		t.Errorf("%d tokens were asked for, want another one", n)
	}
}

// imdsCase is one way in which instance metadata fails.
type imdsCase struct {
	name       string
	slow       bool // it mostly waits: started in parallel with all others
	options    autoscaling.LaunchOptions
	faults     []faults.Fault
	code       failure.Code
	says, hint string
	tokens     int // how many are asked for; 0 = not counted
}

type imdsBoot struct {
	*box
	boot *running
}

func (l *lab) beginIMDS(c imdsCase) *imdsBoot {
	l.Helper()
	b := l.launch(c.options)
	for _, f := range c.faults {
		f.Service = "imds"
		b.suffers(f)
	}
	return &imdsBoot{b, b.start("boot")}
}

func (b *imdsBoot) judge(c imdsCase) {
	b.Helper()
	r := b.boot.wait()
	r.want(b.T, c.code)
	if n := len(b.calls("imds", tokenPath)); c.tokens > 0 && n != c.tokens {
		b.Errorf("%d tokens were asked for, want %d", n, c.tokens)
	}
	b.onlyVersion2()
	if c.code == 0 {
		b.told("CONTINUE")
		b.serves("1")
		return
	}
	r.says(b.T, c.says, c.hint)
	b.told("nothing")
	if n := len(b.calls("s3", "")); n > 0 {
		b.Errorf("%d requests to S3 by nobody", n)
	}
}

// onlyVersion2 asserts that metadata was only asked for once there was a token.
func (b *box) onlyVersion2() {
	b.Helper()
	all := b.calls("imds", "")
	answered := slices.IndexFunc(all, func(c faults.Call) bool { return c.Path == tokenPath && c.Status == 200 })
	for n, c := range all {
		if c.Path != tokenPath && (answered < 0 || n < answered) {
			b.Errorf("%s %s without a token", c.Method, c.Path)
		}
	}
}
