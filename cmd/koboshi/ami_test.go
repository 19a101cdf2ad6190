package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/cmd/koboshi/help"
)

// builders are what the script of the topic calls beside koboshi: Packer bakes on this
// machine what its provisioner would, and the AWS CLI of EC2 notes what it is given.
var builders = map[string]string{
	"packer": `#!/bin/sh -eu
channel=${3#channel=}
koboshi --config koboshi.toml prebake --channel "$channel"
koboshi --config koboshi.toml ami-tags --format json >ami-tags.json
echo "{\"builds\":[{\"artifact_id\":\"eu-west-1:ami-0$BUILD\"}]}" >manifest.json
`,
	"aws": `#!/bin/sh -eu
case "$1 $2" in
"ec2 create-tags")
	[ "$6" = file://ami-tags.json ]
	jq --arg id "$4" '{Images: [{ImageId: $id, Architecture: "x86_64", CreationDate: "2026-11-21T10:05:00.000Z", Tags: .}]}' ami-tags.json >"described-$4.json" ;;
"ec2 create-launch-template-version")
	[ "$8" = file://template.json ]
	cp template.json "template-$BUILD.json"
	echo "$BUILD" ;;
*) exit 64 ;;
esac
`,
}

// newBuilder is a deployer whose group launches from a template with versions to come.
func newBuilder(t *testing.T) *deployer {
	t.Helper()
	d := newDeployer(t)
	bin, _, _ := strings.Cut(strings.TrimPrefix(d.env[0], "PATH="), ":")
	for name, text := range builders {
		d.check(os.WriteFile(filepath.Join(bin, name), []byte(text), 0o755)) //nolint:gosec // a program
	}
	d.check(writeKeys(d.dir))
	d.check(os.MkdirAll(filepath.Join(d.dir, "dist"), 0o755))
	d.check(os.WriteFile(filepath.Join(d.dir, "dist", "VERSION"), []byte("1"), 0o644))
	d.check(os.WriteFile(filepath.Join(d.dir, "koboshi.toml"), []byte(fmt.Sprintf(`
app = "web"
source = "s3://acme-releases/apps"
channel = "stable-a"
channels = ["stable-a", "stable-b"]
[trust]
keys = [%q]
[install]
root = %q
[service]
restart = ["true"]
stop = ["true"]
[health]
command = ["true"]
[state]
dir = %q
run = %q
`, filepath.Join(d.dir, "release.pub"), filepath.Join(d.dir, "opt"), filepath.Join(d.dir, "state"), filepath.Join(d.dir, "run"))), 0o644))
	d.check(d.aws.CreateGroup(autoscaling.Group{
		Name: "shop", Desired: 3, LaunchTemplate: autoscaling.LaunchTemplate{ID: "lt-0a1b2c3d4e5f60718", Version: "1"},
		Versions: map[string]autoscaling.LaunchOptions{"1": {AMI: "ami-01"}, "2": {AMI: "ami-02"}, "3": {AMI: "ami-03"}},
	}))
	return d
}

// The script of the topic, from a release to instances that were launched from the AMI
// which has it, as it is but for its times and the group. It is run twice: the second
// refresh fails by an alarm, and the group is as after the first.
func TestAMIScript(t *testing.T) {
	topic, _ := help.Find("ami")
	script, found := between(topic.Text, "```sh\n# ami.sh\n", "```\n")
	if !found {
		t.Fatal("no ami.sh in the topic")
	}
	script = strings.NewReplacer("--group web", "--group shop", "--checkpoint-delay 10m", "--checkpoint-delay 1s", "--bake 15m", "--bake 1s").Replace(script)
	d := newBuilder(t)
	d.run(script, "VERSION=1.5.0", "CHANNEL=stable-b", "BUILD=2")
	d.launchedFrom("ami-02", "Successful")
	var template struct {
		ImageID           string `json:"ImageId"`
		TagSpecifications []struct {
			Tags []struct{ Key, Value string }
		}
	}
	data, err := os.ReadFile(filepath.Join(d.dir, "template-2.json"))
	d.check(err)
	d.check(json.Unmarshal(data, &template))
	if got := template; got.ImageID != "ami-02" || got.TagSpecifications[0].Tags[0].Value != "stable-b" {
		t.Errorf("the version of the template is of %+v", got)
	}
	const look = "koboshi releases --source s3://acme-releases/apps --app web --amis described-ami-02.json"
	if got := d.run(look); !strings.Contains(got, "ami-02") || !strings.Contains(got, "1.5.0") || !strings.Contains(got, "stable-b: fetches nothing") {
		t.Errorf("the AMI is listed as %s", got)
	}

	d.aws.Model().SetAlarm("web-5xx", true)
	d.run("! { "+script+"}", "VERSION=1.6.0", "CHANNEL=stable-a", "BUILD=3")
	d.launchedFrom("ami-02", "RollbackSuccessful")
	if got := d.run(look); !strings.Contains(got, "stable-b: fetches nothing") {
		t.Errorf("the channel of the template that is back has moved: %s", got)
	}
	if suspended := d.aws.Model().Suspended("shop"); len(suspended) > 0 {
		t.Errorf("suspended %v", suspended)
	}
}

// launchedFrom asserts how the last refresh has ended, and the AMI of all instances.
func (d *deployer) launchedFrom(ami, status string) {
	d.Helper()
	if got := d.aws.Model().Refreshes("shop")[0]; got.Status != status {
		d.Errorf("the refresh is %+v, want %s", got, status)
	}
	n := 0
	for _, i := range d.aws.Instances() {
		if i.Group() != "shop" || i.State() != autoscaling.InService {
			continue
		}
		n++
		if got := i.Metadata().AMI; got != ami {
			d.Errorf("%s is of %s, want %s", i.ID(), got, ami)
		}
	}
	if n != 3 {
		d.Errorf("%d instances are in service, want 3", n)
	}
}
