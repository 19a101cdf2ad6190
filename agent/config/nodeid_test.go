package config_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"koboshi/agent/config"
)

// node is a configuration with node ids; its lines of [node_id] begin at line 11.
func node(lines ...string) string {
	return minimal + "[node_id]\nscope = \"web\"\n" + strings.Join(lines, "\n") + "\n"
}

func TestNodeIDDefaults(t *testing.T) {
	c, err := parse(t, node())
	if err != nil {
		t.Fatal(err)
	}
	n := c.NodeID
	if !n.On() || n.Range != [2]int{0, 1023} || len(n.Reserved) != 0 || n.Split != [2]int{5, 5} || len(n.Datacenter) != 0 ||
		time.Duration(n.Lease) != time.Hour || time.Duration(n.Renew) != 20*time.Minute || time.Duration(n.Quarantine) != 5*time.Minute ||
		time.Duration(n.Unit) != time.Millisecond || n.Ahead != 0 || time.Duration(n.Margin) != 5*time.Second || time.Duration(n.Wait) != 30*time.Second ||
		n.Aware || n.Order != config.OrderHashed || n.Name(7) != "" || !n.Required {
		t.Errorf("defaults %+v", n)
	}
	if want := (config.Table{Kind: config.TableS3, Bucket: "acme-releases", Prefix: "apps/web"}); n.Table != want {
		t.Errorf("the table is %+v, want %+v", n.Table, want)
	}
	if off, err := parse(t, minimal); err != nil || off.NodeID.On() || !off.NodeID.Table.IsZero() {
		t.Errorf("without a scope: %+v, %v", off.NodeID, err)
	}
}

// What config show prints of node ids that are off can be read back, too.
func TestNodeIDOffReadsBack(t *testing.T) {
	c, err := parse(t, minimal)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, s := range c.Settings() {
		fmt.Fprintf(&b, "%s = %s\n", s.Key, s.Value)
	}
	if _, err := parse(t, b.String()); err != nil {
		t.Errorf("%v in\n%s", err, &b)
	}
}

func TestTables(t *testing.T) {
	for _, tt := range []struct {
		text string
		want config.Table
	}{
		{"s3://b", config.Table{Kind: config.TableS3, Bucket: "b"}},
		{"s3://b/x/y?region=eu-west-1", config.Table{Kind: config.TableS3, Bucket: "b", Prefix: "x/y", Region: "eu-west-1"}},
		{"dynamodb://node-ids", config.Table{Kind: config.TableDynamoDB, Name: "node-ids"}},
		{"dynamodb://Node_ids.1?region=us-east-1", config.Table{Kind: config.TableDynamoDB, Name: "Node_ids.1", Region: "us-east-1"}},
	} {
		got, err := config.ParseTable(tt.text)
		if err != nil || got != tt.want || got.String() != tt.text {
			t.Errorf("%s: %+v, %q, %v", tt.text, got, got, err)
		}
	}
	if got, err := config.ParseTable("s3://b/x/"); err != nil || got.Prefix != "x" {
		t.Errorf("a slash at the end: %+v, %v", got, err)
	}
	for _, text := range []string{"", "b/x", "s3://", "s3:///x", "s3://b?x=1", "s3://b?region=", "s3://u:secret@b/x", "s3://b/x#f", "file:///x", "https://h/x", "dynamodb://", "dynamodb://ab",
		"dynamodb://node ids", "dynamodb://node-ids/x", "dynamodb://node-ids:80", "dynamodb://u:secret@node-ids", "dynamodb://node-ids?region=evil.example/", "s3://u:secret@b/%zz"} {
		got, err := config.ParseTable(text)
		if err == nil || !got.IsZero() || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

// The default table is in the first source that is a bucket; a table that is named
// has no app in its path.
func TestTableOfTheConfiguration(t *testing.T) {
	for _, tt := range []struct{ source, line, want string }{
		{`["file:///srv", "s3://one/apps?region=eu-west-1", "s3://two"]`, "", "s3://one/apps/web?region=eu-west-1"},
		{`"s3://one"`, "", "s3://one/web"},
		{`"s3://one"`, `table = "s3://two/ids"`, "s3://two/ids"},
		{`"file:///srv"`, `table = "dynamodb://ids"`, "dynamodb://ids"},
	} {
		c, err := parse(t, strings.Replace(node(tt.line), `"s3://acme-releases/apps"`, tt.source, 1))
		if err != nil || c.NodeID.Table.String() != tt.want {
			t.Errorf("source %s, %s: table %q, %v", tt.source, tt.line, c.NodeID.Table, err)
		}
	}
}

func TestSplitID(t *testing.T) {
	n := config.NodeID{Split: [2]int{5, 5}}
	for _, tt := range []struct{ id, datacenter, worker int }{{0, 0, 0}, {7, 0, 7}, {31, 0, 31}, {32, 1, 0}, {1023, 31, 31}} {
		if datacenter, worker := n.SplitID(tt.id); datacenter != tt.datacenter || worker != tt.worker {
			t.Errorf("%d is %d and %d, want %d and %d", tt.id, datacenter, worker, tt.datacenter, tt.worker)
		}
	}
	if datacenter, worker := (config.NodeID{Split: [2]int{0, 13}}).SplitID(8191); datacenter != 0 || worker != 8191 {
		t.Errorf("without datacenter bits: %d and %d", datacenter, worker)
	}
}

func TestWithin(t *testing.T) {
	c, err := parse(t, node("range = [3, 70]", `datacenter = { eu-west-1a = 0, eu-west-1b = 1, eu-west-1c = 2 }`))
	if err != nil {
		t.Fatal(err)
	}
	for zone, want := range map[string][3]int{"eu-west-1a": {3, 31, 0}, "eu-west-1b": {32, 63, 1}, "eu-west-1c": {64, 70, 2}} {
		first, last, err := c.NodeID.Within(zone)
		number, err2 := c.NodeID.DatacenterID(zone)
		if got := [3]int{first, last, number}; got != want || err != nil || err2 != nil {
			t.Errorf("%s: %v, want %v, %v, %v", zone, got, want, err, err2)
		}
	}
	if _, _, err := c.NodeID.Within("eu-west-1d"); err == nil || !strings.Contains(err.Error(), `"eu-west-1d"`) {
		t.Errorf("a zone without a number: %v", err)
	}
	if first, last, err := (config.NodeID{Range: [2]int{1, 9}}).Within("anywhere"); first != 1 || last != 9 || err != nil {
		t.Errorf("without zones: %d to %d, %v", first, last, err)
	}
}

func TestNodeNames(t *testing.T) {
	for pattern, want := range map[string]string{"web-%02d": "web-07", "%d": "7", "db%d.example": "db7.example", "%09d": "000000007"} {
		c, err := parse(t, node(fmt.Sprintf("name = %q", pattern)))
		if err != nil || c.NodeID.Name(7) != want {
			t.Errorf("%q: %q, %v", pattern, c.NodeID.Name(7), err)
		}
	}
}

// A drop-in changes one zone, and keeps the others; a list it replaces.
func TestDropInsOfNodeID(t *testing.T) {
	c, err := parse(t, node("reserved = [1, 2]", "[node_id.datacenter]", "eu-west-1a = 1", "eu-west-1b = 2"),
		"[node_id]\nreserved = [3]\ndatacenter = { eu-west-1b = 4 }\n", "[node_id]\nrenew = \"10m\"\n")
	if err != nil {
		t.Fatal(err)
	}
	n := c.NodeID
	if len(n.Datacenter) != 2 || n.Datacenter["eu-west-1a"] != 1 || n.Datacenter["eu-west-1b"] != 4 || !slices.Equal(n.Reserved, []int{3}) || n.Scope != "web" || time.Duration(n.Renew) != 10*time.Minute {
		t.Errorf("merged %+v", n)
	}
}

func TestNodeIDErrors(t *testing.T) {
	off := func(line string) string { return minimal + "[node_id]\n" + line + "\n" }
	command := strings.NewReplacer(`unit = "web.service"`, `restart = ["x"]`)
	for _, tt := range []struct{ name, text, want string }{
		{"a lease without a scope", off(`lease = "2h"`), `koboshi.toml:10: node_id.lease: goes with node_id.scope only, which is empty`},
		{"a zone without a scope", off(`datacenter = { eu-west-1a = 1 }`), `koboshi.toml:10: node_id.datacenter: goes with`},
		{"optional without a scope", off("scope = \"\"\nrequired = false"), `koboshi.toml:11: node_id.required: goes with`},
		{"a table without a scope", off(`table = "dynamodb://ids"`), `koboshi.toml:10: node_id.table: goes with`},
		{"an unknown key", node(`quarantin = "1m"`), `koboshi.toml:11: unknown key "node_id.quarantin"`},
		{"a zone with a dot", node(`datacenter = { "a.b" = 1 }`), `koboshi.toml:11: unknown key`},
		{"a scope in capitals", strings.Replace(node(), `scope = "web"`, `scope = "Web"`, 1), `koboshi.toml:10: node_id.scope: "Web" is not a name`},
		{"a scope with a slash", strings.Replace(node(), `scope = "web"`, `scope = "a/b"`, 1), `koboshi.toml:10: node_id.scope: "a/b" is not a name`},
		{"a scope with a hash", strings.Replace(node(), `scope = "web"`, `scope = "a#b"`, 1), `koboshi.toml:10: node_id.scope: "a#b" is not a name`},
		{"no table", strings.Replace(node(), "s3://acme-releases/apps", "file:///srv", 1), `koboshi.toml:10: node_id.table: no source is in S3`},
		{"a table on a disk", node(`table = "file:///srv"`), `koboshi.toml:11: node_id.table: "file:///srv": want s3://`},
		{"a password in the table", node(`table = "s3://u:secret@b"`), `koboshi.toml:11: node_id.table: s3://u:xxxxx@b: want no user`},
		{"one end of a range", node("range = [0]"), `koboshi.toml:11: node_id.range: `},
		{"three ends", node("range = [0, 1, 2]"), `koboshi.toml:11: node_id.range: `},
		{"a range of texts", node(`range = ["0", "1"]`), `koboshi.toml:11: node_id.range: `},
		{"a range below 0", node("range = [-1, 5]"), `koboshi.toml:11: node_id.range: [-1, 5], want the first id and the last, within 0 to 1048575`},
		{"a range beyond the end", node("range = [0, 1048576]"), `koboshi.toml:11: node_id.range: `},
		{"a range backwards", node("range = [5, 4]"), `koboshi.toml:11: node_id.range: [5, 4]`},
		{"reserved outside", node("reserved = [1024]"), `koboshi.toml:11: node_id.reserved: 1024 is not in node_id.range, 0 to 1023`},
		{"reserved twice", node("reserved = [5, 5]"), `koboshi.toml:11: node_id.reserved: 5 is named twice`},
		{"all reserved", node("range = [5, 6]", "reserved = [6, 5]"), `koboshi.toml:12: node_id.reserved: no id of node_id.range is left`},
		{"a split that is too small", node("split = [5, 4]"), `koboshi.toml:11: node_id.split: [5, 4] hold ids up to 511, and node_id.range ends at 1023: want 10 bits together, such as [5, 5]`},
		{"a range that is too large", node("range = [0, 1024]"), `koboshi.toml:11: node_id.split: [5, 5] hold ids up to 1023, and node_id.range ends at 1024: want 11 bits together, such as [5, 6]`},
		{"a split below 0", node("split = [-1, 11]"), `koboshi.toml:11: node_id.split: [-1 11], want the bits`},
		{"a split that overflows", node("split = [4611686018427387904, 4611686018427387904]"), `koboshi.toml:11: node_id.split: `},
		{"a split of 21 bits", node("split = [10, 11]"), `koboshi.toml:11: node_id.split: `},
		{"a zone's number that does not fit", node("datacenter = { eu-west-1a = 32 }"), `koboshi.toml:11: node_id.datacenter.eu-west-1a: 32, want 0 to 31`},
		{"a zone's number below 0", node("[node_id.datacenter]", "eu-west-1a = -1"), `koboshi.toml:12: node_id.datacenter.eu-west-1a: -1, want 0 to 31`},
		{"no zone", node("datacenter = { EU = 1 }"), `koboshi.toml:11: node_id.datacenter.EU: want an availability zone`},
		{"a zone without ids", node("range = [0, 63]", "datacenter = { eu-west-1a = 2 }"), `koboshi.toml:12: node_id.datacenter.eu-west-1a: 2 leaves the zone no id`},
		{"a zone with reserved ids", node("split = [9, 1]", "reserved = [4, 5]", "datacenter = { eu-west-1a = 2 }"), `koboshi.toml:13: node_id.datacenter.eu-west-1a: 2 leaves the zone no id`},
		{"a short lease", node(`lease = "4m59s"`), `koboshi.toml:11: node_id.lease: 4m59s, want 5m0s to 24h0m0s`},
		{"a long lease", node(`lease = "24h1s"`), `koboshi.toml:11: node_id.lease: `},
		{"renewed too late", node(`renew = "31m"`), `koboshi.toml:11: node_id.renew: 31m0s, want 1s to 30m0s, half of node_id.lease`},
		{"a lease that is shorter than the renewal", node(`lease = "30m"`), `koboshi.toml:11: node_id.renew: 20m0s, want 1s to 15m0s`},
		{"never renewed", node(`renew = "0s"`), `koboshi.toml:11: node_id.renew: 0s`},
		{"a quarantine of days", node(`quarantine = "25h"`), `koboshi.toml:11: node_id.quarantine: 25h0m0s, want at most 24h0m0s`},
		{"a unit below a millisecond", node(`unit = "100us"`), `koboshi.toml:11: node_id.unit: 100µs, want whole milliseconds`},
		{"a broken unit", node(`unit = "1500us"`), `koboshi.toml:11: node_id.unit: `},
		{"a long unit", node(`unit = "2s"`), `koboshi.toml:11: node_id.unit: 2s`},
		{"stopped before the renewal", node(`ahead = "40m"`), `koboshi.toml:11: node_id.margin: with node_id.ahead 40m5s, want less than node_id.lease - node_id.renew = 40m0s`},
		{"stopped just when it is renewed", node(`ahead = "39m55s"`), `koboshi.toml:11: node_id.margin: with node_id.ahead 40m0s, want less than`},
		{"a margin as long as the lease", node(`margin = "1h"`), `koboshi.toml:11: node_id.margin: with`},
		{"no margin", node(`margin = "0s"`), `koboshi.toml:11: node_id.margin: 0s, want at least 1s`},
		{"a wait as long as the boot", node(`wait = "15m"`), `koboshi.toml:11: node_id.wait: 15m0s, want less than lifecycle.deadline`},
		{"some order", node(`order = "random"`), `koboshi.toml:11: node_id.order: "random", want "hashed" or "lowest"`},
		{"a command without one that stops", command.Replace(node("aware = true")), `koboshi.toml:10: node_id.scope: needs service.stop where there is service.restart`},
		{"a command that nothing stops", command.Replace(node()), `koboshi.toml:6: node_id.aware: want true with service.restart`},
		{"a name without a number", node(`name = "web"`), `koboshi.toml:11: node_id.name: "web", want one %d`},
		{"a name with two", node(`name = "web-%d-%d"`), `koboshi.toml:11: node_id.name: "web-%d-%d" has more than one %`},
		{"a name with spaces", node(`name = "web-%2d"`), `koboshi.toml:11: node_id.name: `},
		{"a name from the left", node(`name = "web-%-2d"`), `koboshi.toml:11: node_id.name: `},
		{"a name of a text", node(`name = "web-%s"`), `koboshi.toml:11: node_id.name: `},
		{"a name with an argument", node(`name = "web-%[2]d"`), `koboshi.toml:11: node_id.name: `},
		{"a name with %%", node(`name = "web-%%-%d"`), `koboshi.toml:11: node_id.name: `},
		{"a name with %0", node(`name = "web-%0d"`), `koboshi.toml:11: node_id.name: `},
		{"a name with a line break", node(`name = "web-%d\nX=1"`), `koboshi.toml:11: node_id.name: `},
		{"a name with a quote", node(`name = "web-%d'"`), `koboshi.toml:11: node_id.name: `},
		{"a name that begins with a hyphen", node(`name = "-web-%d"`), `koboshi.toml:11: node_id.name: `},
		{"a long name", node(`name = "` + strings.Repeat("x", 60) + `%d"`), `koboshi.toml:11: node_id.name: of the last id: `},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parse(t, tt.text)
			e, ok := errors.AsType[*config.Error](err)
			if !ok {
				t.Fatalf("error %v, want a *config.Error", err)
			}
			if !strings.HasPrefix(e.Error(), tt.want) || strings.Contains(e.Error(), "\n") || strings.Contains(e.Error(), "secret") {
				t.Errorf("error %q, want %q…", e, tt.want)
			}
		})
	}
	if _, err := parse(t, strings.ReplaceAll(command.Replace(node("aware = true", `margin = "0s"`)), `restart = ["x"]`, "restart = [\"x\"]\nstop = [\"y\"]")); err != nil {
		t.Errorf("an app that keeps the bounds itself: %v", err)
	}
}
