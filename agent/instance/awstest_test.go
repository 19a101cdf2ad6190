package instance_test

import (
	"errors"
	"maps"
	"testing"
	"time"

	"koboshi/agent/awstest"
	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/ec2"
	"koboshi/agent/awstest/faults"
	"koboshi/agent/awstest/imds"
	"koboshi/agent/instance"
)

// launch returns an instance and a Metadata on it.
func launch(t *testing.T, options autoscaling.LaunchOptions, patience time.Duration) (*awstest.Server, *ec2.Instance, *instance.Metadata) {
	t.Helper()
	server := awstest.New(t)
	if options.Group != "" {
		if err := server.CreateGroup(autoscaling.Group{Name: options.Group}); err != nil {
			t.Fatal(err)
		}
	}
	i, err := server.Launch(options)
	if err != nil {
		t.Fatal(err)
	}
	return server, i, instance.New(instance.Options{Endpoint: i.IMDSURL(), Patience: patience})
}

func TestAnInstanceInAGroup(t *testing.T) {
	_, i, m := launch(t, autoscaling.LaunchOptions{Group: "web", AZ: "eu-west-1b", Tags: map[string]string{"koboshi:channel": "canary", "Name": "x"}}, 0)
	id, err := m.Identity(t.Context())
	if err != nil || id.ID != i.ID() || id.Region != "eu-west-1" || id.AZ != "eu-west-1b" || id.Account != "123456789012" {
		t.Errorf("Identity = %+v, %v", id, err)
	}
	i.ExpireTokens()
	tags, err := m.Tags(t.Context(), "koboshi:channel", "koboshi:hold", "aws:autoscaling:groupName")
	want := map[string]string{"koboshi:channel": "canary", "aws:autoscaling:groupName": "web"}
	if err != nil || !maps.Equal(tags, want) {
		t.Errorf("Tags = %q, %v, want %q", tags, err, want)
	}
	i.SetTag("koboshi:hold", "2026-11-21")
	i.RemoveTag("koboshi:channel")
	tags, err = m.Tags(t.Context(), "koboshi:channel", "koboshi:hold")
	if want := map[string]string{"koboshi:hold": "2026-11-21"}; err != nil || !maps.Equal(tags, want) {
		t.Errorf("Tags = %q, %v, want %q", tags, err, want)
	}
	if state, err := m.TargetState(t.Context()); state != "InService" || err != nil {
		t.Errorf("TargetState = %q, %v", state, err)
	}
	creds, err := m.Credentials().Retrieve(t.Context())
	if err != nil || !creds.HasKeys() || creds.SessionToken == "" {
		t.Errorf("Credentials: %v", err)
	}
}

func TestAnInstanceAlone(t *testing.T) {
	_, _, m := launch(t, autoscaling.LaunchOptions{TagsOff: true, IMDS: imds.Switches{NoRole: true}}, 300*time.Millisecond)
	if state, err := m.TargetState(t.Context()); state != "" || err != nil {
		t.Errorf("TargetState = %q, %v, want none", state, err)
	}
	if _, err := m.Tags(t.Context(), "koboshi:channel"); !errors.Is(err, instance.ErrTagsOff) {
		t.Errorf("Tags: %v, want ErrTagsOff", err)
	}
	if _, err := m.Credentials().Retrieve(t.Context()); !errors.Is(err, instance.ErrNoCredentials) {
		t.Errorf("Credentials: %v, want ErrNoCredentials", err)
	}
}

func TestMetadataThatFails(t *testing.T) {
	tests := map[string]struct {
		switches imds.Switches
		fault    faults.Fault
		want     error
	}{
		"switched off": {switches: imds.Switches{Disabled: true}, want: instance.ErrDisabled},
		"hop limit":    {switches: imds.Switches{HopLimit: true}, want: instance.ErrHopLimit},
		"garbage":      {fault: faults.Fault{Body: "\x00{"}, want: instance.ErrMalformed},
		"redirect":     {fault: faults.Fault{Status: 302, Header: map[string]string{"Location": "http://127.0.0.1:1/"}}, want: instance.ErrMalformed},
		"reset":        {fault: faults.Fault{Reset: true}, want: instance.ErrUnreachable},
		"cut short":    {fault: faults.Fault{Operation: "GET /latest/dynamic/instance-identity/document", Cut: 10}, want: instance.ErrUnreachable},
		"overloaded":   {fault: faults.Fault{Status: 503}, want: instance.ErrUnreachable},
		"throttled":    {fault: faults.Fault{Status: 429}, want: instance.ErrUnreachable},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			server, _, m := launch(t, autoscaling.LaunchOptions{IMDS: tt.switches}, 300*time.Millisecond)
			if tt.switches == (imds.Switches{}) {
				tt.fault.Service = "imds"
				server.Faults().Add(tt.fault)
			}
			if id, err := m.Identity(t.Context()); !errors.Is(err, tt.want) {
				t.Errorf("Identity = %+v, %v, want %v", id, err, tt.want)
			}
			server.Faults().Clear()
		})
	}
}

func TestMetadataThatRecovers(t *testing.T) {
	server, _, m := launch(t, autoscaling.LaunchOptions{IMDS: imds.Switches{CredentialsAfter: 500 * time.Millisecond}}, 0)
	for _, fault := range []faults.Fault{{Status: 503}, {Reset: true}, {Status: 429}} {
		fault.Service, fault.Times = "imds", 1
		server.Faults().Add(fault)
	}
	if id, err := m.Identity(t.Context()); err != nil || id.Region != "us-east-1" {
		t.Errorf("Identity = %+v, %v", id, err)
	}
	if creds, err := m.Credentials().Retrieve(t.Context()); err != nil || !creds.HasKeys() {
		t.Errorf("Credentials: %v", err)
	}
}
