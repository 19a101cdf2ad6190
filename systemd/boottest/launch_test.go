//go:build boottest

package boottest

import (
	"testing"
	"time"

	"koboshi/agent/awstest"
	"koboshi/agent/status"
)

func TestFirstBoot(t *testing.T) {
	t.Parallel()
	scenario{channel: "1.0.0", want: inService(status.Fresh, "1.0.0")}.run(t)
}

func TestBakedOlder(t *testing.T) {
	t.Parallel()
	scenario{baked: "1.0.0", channel: "2.0.0", want: inService(status.Fresh, "2.0.0")}.run(t)
}

func TestBakedCurrent(t *testing.T) {
	t.Parallel()
	l, _ := scenario{baked: "1.0.0", channel: "1.0.0", want: inService(status.Current, "1.0.0")}.run(t)
	l.wantNoDownload()
}

func TestMetadataLate(t *testing.T) {
	t.Parallel()
	scenario{
		image:    files{cloudConfig: "datasource_list: [None]\n"}, // else cloud-init waits, and koboshi need not
		metadata: 10 * time.Second,
		channel:  "1.0.0",
		want:     inService(status.Fresh, "1.0.0"),
	}.run(t)
}

// down is S3 when it is.
var down = []awstest.Fault{{Service: "s3", Status: 503, Code: "SlowDown"}}

func TestSourceDownBaked(t *testing.T) {
	t.Parallel()
	scenario{baked: "1.0.0", channel: "2.0.0", faults: down, want: inService(status.Stale, "1.0.0")}.run(t)
}

func TestSourceDown(t *testing.T) {
	t.Parallel()
	scenario{channel: "1.0.0", faults: down, want: abandoned("13", "", "read channels/stable.json")}.run(t)
}

func TestUnhealthy(t *testing.T) {
	t.Parallel()
	scenario{image: impatient, channel: "2.0.0-ill", want: abandoned("20", "2.0.0-ill", "unhealthy after ")}.run(t)
}

func TestUnhealthyBaked(t *testing.T) {
	t.Parallel()
	scenario{image: impatient, baked: "1.0.0", channel: "2.0.0-ill", want: abandoned("20", "1.0.0", "unhealthy after ")}.run(t)
}

// impatient is an image whose gate does not wait long.
var impatient = files{dropIn: "[health]\ntimeout = \"2s\"\n"}
