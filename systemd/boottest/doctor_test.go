//go:build boottest

package boottest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"koboshi/agent/awstest/faults"
	"koboshi/agent/awstest/imds"
	"koboshi/agent/doctor"
)

// ailment is a fault of a machine, and what doctor reports.
type ailment struct {
	name     string
	get, end func(*container)
	code     int
	says     map[string]string // by check: how the finding begins; all others are ok, or cannot be checked then
}

var ailments = []ailment{
	{
		name: "the app is enabled",
		get:  run("systemctl", "enable", "web.service"),
		end:  run("systemctl", "disable", "web.service"),
		says: map[string]string{"unit": "warn web.service is enabled: systemd may start it before koboshi has checked the channel"},
	}, {
		name: "the app waits for koboshi",
		get:  orders("koboshi-boot.service"), end: orders(""),
		code: 1,
		says: map[string]string{"order": "fail web.service is ordered after koboshi-boot.service, which starts it"},
	}, {
		name: "the app waits for what waits for koboshi",
		get:  orders("multi-user.target"), end: orders(""),
		code: 1,
		says: map[string]string{"order": "fail web.service is ordered after multi-user.target, and that after koboshi-boot.service"},
	}, {
		name: "koboshi is not enabled",
		get:  run("systemctl", "disable", "koboshi-boot.service"),
		end:  run("systemctl", "enable", "koboshi-boot.service"),
		says: map[string]string{"boot-unit": "warn koboshi-boot.service is disabled"},
	}, {
		name: "no one watches",
		get:  run("systemctl", "stop", "koboshi-watch.service"),
		end:  run("systemctl", "start", "koboshi-watch.service"),
		says: map[string]string{"watch-unit": "warn koboshi-watch.service is inactive (dead)"},
	}, {
		name: "the app is stopped",
		get:  run("systemctl", "stop", "web.service"),
		end:  run("systemctl", "start", "web.service"),
		code: 1,
		says: map[string]string{"app": "fail the app is not healthy now: ", "unit": "warn web.service is inactive (dead), while 1.0.0 is installed"},
	}, {
		name: "the app has crashed",
		get:  run("systemctl", "kill", "--signal=KILL", "web.service"),
		end:  run("systemctl", "start", "web.service"),
		code: 1,
		says: map[string]string{"app": "fail the app is not healthy now: ", "unit": "warn web.service has failed (failed)"},
	}, {
		name: "the hop limit",
		get:  withIMDS(imds.Switches{HopLimit: true}), end: withIMDS(imds.Switches{}),
		code: 1,
		says: map[string]string{"metadata": "fail IMDSv2 returns no token, as with a hop limit that is too low"},
	}, {
		name: "no role",
		get:  withIMDS(imds.Switches{NoRole: true}), end: withIMDS(imds.Switches{}),
		code: 1,
		says: map[string]string{"credentials": "fail ", "source": "warn not checked: there are no credentials"},
	}, {
		name: "tags are off, and one should choose the channel",
		get: func(c *container) {
			files{dropIn: "channels = [\"stable\", \"canary\"]\n"}.write(c.T, c.root)
			c.aws.Faults().Add(faults.Fault{Service: "imds", Path: "/latest/meta-data/tags", Status: 404})
		},
		end: func(c *container) {
			files{dropIn: ""}.write(c.T, c.root)
			c.aws.Faults().Clear()
		},
		says: map[string]string{"tags": "warn tags are not in the metadata: no tag can choose among the channels"},
	}, {
		name: "the clock is wrong",
		get: func(c *container) {
			c.aws.Faults().Add(faults.Fault{Header: map[string]string{"Date": time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)}})
		},
		end:  noFault,
		code: 1,
		says: map[string]string{"clock": "fail the clock is 1 h 00 min ahead"},
	}, {
		name: "the bucket is closed",
		get:  fault(faults.Fault{Service: "s3", Status: 403, Code: "AccessDenied"}), end: noFault,
		code: 1,
		says: map[string]string{"source": "fail s3://releases/apps (at http://" + endpoint + "/releases): ", "listing": "warn s3://releases/apps: a missing object looks like a forbidden one"},
	}, {
		name: "no heartbeat is allowed",
		get:  fault(faults.Fault{Service: "autoscaling", Operation: "RecordLifecycleActionHeartbeat", Status: 403, Code: "AccessDenied"}), end: noFault,
		code: 1,
		says: map[string]string{"heartbeat": "fail no heartbeat may be sent"},
	}, {
		name: "the pointer has expired",
		get: func(c *container) {
			c.promote("1.0.0", "--expires", "1s")
			<-time.After(1100 * time.Millisecond)
		},
		end:  func(c *container) { c.promote("1.0.0") },
		code: 1,
		says: map[string]string{"expiry": "fail the pointer expired at "},
	},
}

func run(args ...string) func(*container) {
	return func(c *container) { c.must(args...) }
}

func orders(after string) func(*container) {
	return func(c *container) {
		text := ""
		if after != "" {
			text = "[Unit]\nAfter=" + after + "\n"
		}
		files{webUnit + ".d/order.conf": text}.write(c.T, c.root)
		c.must("systemctl", "daemon-reload")
	}
}

func withIMDS(s imds.Switches) func(*container) {
	return func(c *container) { c.instance.SetIMDS(func(now *imds.Switches) { *now = s }) }
}

func fault(faults ...faults.Fault) func(*container) {
	return func(c *container) {
		for _, f := range faults {
			c.aws.Faults().Add(f)
		}
	}
}

func noFault(c *container) { c.aws.Faults().Clear() }

// What doctor reports on a machine with systemd: no failure while all is well,
// and each ailment by its check.
func TestExamined(t *testing.T) {
	t.Parallel()
	c := installed(t, nil)
	c.examine(ailment{name: "well"})
	for _, a := range ailments {
		a.get(c)
		c.examine(a)
		a.end(c)
	}
	c.examine(ailment{name: "well again"})
	same(t, "answer", c.end("exit").Answer, "1.0.0 on "+c.instance.ID())
}

func (c *container) examine(a ailment) {
	c.Helper()
	var findings []doctor.Finding
	e := c.do("koboshi", "doctor", "--json")
	if err := json.Unmarshal([]byte(e.out), &findings); err != nil {
		c.Fatalf("%s: %q %s", a.name, e.out, e.err)
	}
	same(c.T, a.name+": the exit code", e.code, a.code)
	missing := maps.Clone(a.says)
	for _, f := range findings {
		said := fmt.Sprintf("%s %s", f.Level, f.Text)
		switch want, ill := a.says[f.Check]; {
		case ill && strings.HasPrefix(said, want):
			delete(missing, f.Check)
		case f.Level == doctor.Warn && strings.HasPrefix(f.Text, "not checked: ") && a.code == 1:
		case f.Level != doctor.OK:
			c.Errorf("%s: %s: %s", a.name, f.Check, said)
		}
	}
	for check, want := range missing {
		c.Errorf("%s: %s does not say %q", a.name, check, want)
	}
}
