//go:build boottest

package boottest

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"koboshi/agent/report"
)

// The document for SSM Run Command, as its agent runs it on a machine in service:
// the output is the report, the exit code koboshi's own.
func TestRunCommand(t *testing.T) {
	t.Parallel()
	c := live(t, impatient)
	c.keeps("1.0.0", func() { same(t, "verdict", c.runCommand(0, nil).Verdict, report.Current) })
	c.promote("2.0.0")
	c.keeps("1.0.0", func() {
		same(t, "target", c.runCommand(0, map[string]string{"dryRun": "true"}).Target.Version, "2.0.0")
	})
	c.moves("1.0.0", "2.0.0", func() { same(t, "verdict", c.runCommand(0, nil).Verdict, report.Fresh) })
	c.moves("2.0.0", "1.0.0", func() {
		same(t, "verdict", c.runCommand(0, map[string]string{"version": "1.0.0"}).Verdict, report.Current)
	})
	c.moves("1.0.0", "1.0.0", func() {
		same(t, "error", c.runCommand(20, map[string]string{"version": "2.0.0-ill"}).Error.Code, 20)
	})
	c.keeps("1.0.0", func() { c.runCommand(13, map[string]string{"version": "3.0.0"}) })

	c.aws.Calls().Reset()
	c.aws.Faults().Add(stuck[0])
	other := c.begin("koboshi", "sync", "--version", "2.0.0-dead")
	c.awaitDownload()
	c.exits(23, "koboshi", "sync")
	waiting := c.begin("sh", "-c", document(t, nil))
	c.aws.Faults().Clear()
	if code := other().code; code != 19 && code != 20 { // the app dies while systemd starts it, or just after
		t.Errorf("exit code of the run that was waited for is %d, want 19 or 20", code)
	}
	same(t, "exit code of the run that waited", waiting().code, 0)
	same(t, "answer", c.end("exit").Answer, "2.0.0 on "+c.instance.ID())
}

// runCommand runs the document and returns the report, or plan, that it prints.
func (c *container) runCommand(code int, given map[string]string) (r report.Report) {
	c.Helper()
	e := c.exits(code, "sh", "-c", document(c.T, given))
	if err := json.Unmarshal([]byte(e.out), &r); err != nil {
		c.Fatalf("the document prints %q: %v", e.out, err)
	}
	return r
}

// document is the script of the document with every parameter filled in, with
// its default unless one is given.
func document(t *testing.T, given map[string]string) string {
	t.Helper()
	data, err := os.ReadFile("../packaging/ssm/koboshi-sync.yaml")
	must(t, err)
	text := string(data)
	_, script, found := strings.Cut(text, "runCommand:\n        - |\n")
	if !found {
		t.Fatal("the document has no script")
	}
	script = regexp.MustCompile(`\{\{ \w+ \}\}`).ReplaceAllStringFunc(script, func(name string) string {
		name = strings.Trim(name, "{} ")
		if value, ok := given[name]; ok {
			return value
		}
		_, section, _ := strings.Cut(text, "\n  "+name+":\n")
		value := regexp.MustCompile(`default: "(.*)"`).FindStringSubmatch(section)
		if value == nil {
			t.Fatalf("the parameter %s has no default", name)
		}
		return value[1]
	})
	return strings.ReplaceAll(script, "\n          ", "\n")
}
