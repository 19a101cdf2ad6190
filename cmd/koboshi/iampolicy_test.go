package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"koboshi/agent/config"
	"koboshi/artifacts/iam"
)

func policyConfig(t *testing.T, sources, group string) *config.Config {
	t.Helper()
	cfg, err := config.Parse(config.File{Name: "koboshi.toml", Data: []byte(`
app = "web"
source = [` + sources + `]
[trust]
keys = ["/k.pub"]
[service]
unit = "web.service"
[health]
tcp = "127.0.0.1:1"
[lifecycle]
group = ` + fmt.Sprintf("%q", group))})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// TestPoliciesKeepTheGrammar checks every document against IAM's grammar for
// identity policies, as far as koboshi uses it.
func TestPoliciesKeepTheGrammar(t *testing.T) {
	for _, sources := range []string{
		`"s3://releases"`,
		`"s3://releases/apps/"`,
		`"s3://releases/apps", "s3://replica/deep/er"`,
		`"s3://releases/apps", "https://mirror.example.com/apps", "file:///mnt/releases"`,
		`"s3://releases/apps", "s3://releases-eu/apps?region=eu-west-1"`,
		`"file:///mnt/releases"`,
	} {
		for _, group := range []string{"", "web", "web $*? (blue)"} {
			for _, partition := range iam.Partitions {
				cfg := policyConfig(t, sources, group)
				key := "arn:" + partition + ":kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
				for _, keys := range [][]string{nil, {key}, {key, key + "ef"}} {
					checkPolicy(t, partition, instancePolicy(partition, cfg, keys...))
					for _, role := range []string{"", publisher, promoter} {
						if all := places(cfg.App, cfg.Source...); len(all) > 0 {
							checkPolicy(t, partition, publisherPolicy(policyOptions{partition: partition, role: role, keys: keys}, all))
						}
					}
				}
			}
		}
	}
}

var (
	sidPattern    = regexp.MustCompile(`^[A-Za-z0-9]+$`)
	actionPattern = regexp.MustCompile(`^(s3|dynamodb|autoscaling|kms|elasticloadbalancing):[A-Z][A-Za-z]+$`)
)

func checkPolicy(t *testing.T, partition string, p iam.Policy) {
	t.Helper()
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Version   string
		Statement []map[string]json.RawMessage
	}
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	if document.Version != "2012-10-17" || len(document.Statement) == 0 {
		t.Fatalf("version %q, %d statements", document.Version, len(document.Statement))
	}
	sids := map[string]bool{}
	for i, raw := range document.Statement {
		for key := range raw {
			if !slices.Contains([]string{"Sid", "Effect", "Action", "Resource", "Condition"}, key) {
				t.Errorf("statement %d has %q", i, key)
			}
		}
		if effect := p.Statement[i].Effect; effect != "Allow" {
			t.Errorf("statement %d: %s, and a role is only allowed things", i, effect)
		}
		if string(raw["Condition"]) == "null" {
			t.Errorf("statement %d has an empty condition", i)
		}
		checkStatement(t, partition, p.Statement[i])
		sids[p.Statement[i].Sid] = true
	}
	if len(sids) != len(p.Statement) {
		t.Errorf("a Sid stands twice: %s", text)
	}
}

func checkStatement(t *testing.T, partition string, s iam.Statement) {
	t.Helper()
	if s.Effect != "Allow" || !sidPattern.MatchString(s.Sid) || len(s.Action) == 0 || len(s.Resource) == 0 {
		t.Errorf("statement %+v", s)
	}
	for _, action := range s.Action {
		if !actionPattern.MatchString(action) {
			t.Errorf("%s: action %q", s.Sid, action)
		}
	}
	for _, resource := range s.Resource {
		if resource == "*" && (s.Sid == "Describe" || s.Sid == "TargetHealth") {
			continue // nothing smaller is possible
		}
		if parts := strings.SplitN(resource, ":", 6); len(parts) != 6 || parts[0] != "arn" || parts[1] != partition || parts[5] == "*" {
			t.Errorf("%s: resource %q", s.Sid, resource)
		}
	}
}

func TestPolicyTakesNamesLiterally(t *testing.T) {
	p := instancePolicy("aws", policyConfig(t, `"s3://releases/a*b"`, "web?"))
	for sid, want := range map[string]string{
		"Releases":  "arn:aws:s3:::releases/a${*}b/web/*",
		"Lifecycle": "arn:aws:autoscaling:*:*:autoScalingGroup:*:autoScalingGroupName/web${?}",
	} {
		i := slices.IndexFunc(p.Statement, func(s iam.Statement) bool { return s.Sid == sid })
		if got := p.Statement[i].Resource; !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %q, want %q", sid, got, want)
		}
	}
}

// A drain asks every target group, and takes the instance out of those alone that are
// configured.
func TestPolicyOfADrain(t *testing.T) {
	const group = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/web/0123456789abcdef"
	for deregister, want := range map[string]string{
		config.DeregisterNever:  "elasticloadbalancing:DescribeTargetHealth *",
		config.DeregisterSpot:   "elasticloadbalancing:DescribeTargetHealth * elasticloadbalancing:DeregisterTargets " + group,
		config.DeregisterAlways: "elasticloadbalancing:DescribeTargetHealth * elasticloadbalancing:DeregisterTargets " + group,
	} {
		cfg := policyConfig(t, `"s3://releases"`, "")
		cfg.Drain.Deregister = deregister
		bare := instancePolicy("aws", cfg)
		cfg.Drain.TargetGroups = []string{group}
		p := instancePolicy("aws", cfg)
		checkPolicy(t, "aws", p)
		var got []string
		for _, s := range p.Statement[len(bare.Statement):] {
			got = append(got, strings.Join(s.Action, " "), strings.Join(s.Resource, " "))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %s, want %s", deregister, got, want)
		}
	}
}

// A node id needs its own scope of its own table, no more: nothing is deleted, and a
// KMS key encrypts only where objects are written.
func TestPolicyOfANodeID(t *testing.T) {
	const key = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
	for table, want := range map[string]string{
		"s3://ids/x*?region=eu-west-1": "s3:GetObject s3:PutObject on arn:aws:s3:::ids/x${*}/nodes/web/*; s3:ListBucket on arn:aws:s3:::ids where s3:prefix is x${*}/nodes/web/*",
		"s3://ids":                     "s3:GetObject s3:PutObject on arn:aws:s3:::ids/nodes/web/*; s3:ListBucket on arn:aws:s3:::ids where s3:prefix is nodes/web/*",
		"dynamodb://node-ids":          "dynamodb:GetItem dynamodb:Query dynamodb:UpdateItem dynamodb:PutItem on arn:aws:dynamodb:*:*:table/node-ids where dynamodb:LeadingKeys is web#*",
		"dynamodb://node-ids?region=eu-west-1": "dynamodb:GetItem dynamodb:Query dynamodb:UpdateItem dynamodb:PutItem on arn:aws:dynamodb:eu-west-1:*:table/node-ids" +
			" where dynamodb:LeadingKeys is web#*",
	} {
		cfg := policyConfig(t, `"s3://releases"`, "")
		bare := instancePolicy("aws", cfg, key)
		var err error
		cfg.NodeID.Scope = "web"
		if cfg.NodeID.Table, err = config.ParseTable(table); err != nil {
			t.Fatal(err)
		}
		p := instancePolicy("aws", cfg, key)
		checkPolicy(t, "aws", p)
		var got []string
		for _, s := range p.Statement {
			if slices.ContainsFunc(bare.Statement, func(b iam.Statement) bool { return b.Sid == s.Sid }) {
				continue
			}
			text := strings.Join(s.Action, " ") + " on " + strings.Join(s.Resource, " ")
			for _, condition := range s.Condition {
				for name, values := range condition {
					text += " where " + name + " is " + strings.Join(values, " ")
				}
			}
			got = append(got, text)
		}
		if strings.Join(got, "; ") != want {
			t.Errorf("%s:\n%s, want\n%s", table, strings.Join(got, "; "), want)
		}
		i := slices.IndexFunc(p.Statement, func(s iam.Statement) bool { return s.Sid == "Key" })
		if encrypts := slices.Contains(p.Statement[i].Action, "kms:GenerateDataKey"); encrypts != strings.HasPrefix(table, "s3:") {
			t.Errorf("%s: kms:GenerateDataKey %v", table, encrypts)
		}
	}
}

// Health records are written to the first source that can be, and to nothing else there.
func TestPolicyOfHealthRecords(t *testing.T) {
	for sources, want := range map[string]string{
		`"https://mirror.example.com/apps", "s3://rel*/apps", "s3://replica"`: "s3:PutObject arn:aws:s3:::rel*/apps/web/health/*",
		`"s3://releases"`:    "s3:PutObject arn:aws:s3:::releases/web/health/*",
		`"file:///srv/apps"`: "",
	} {
		cfg := policyConfig(t, sources, "")
		bare := instancePolicy("aws", cfg)
		cfg.Fleet.Report = true
		p := instancePolicy("aws", cfg)
		checkPolicy(t, "aws", p)
		var got []string
		for _, s := range p.Statement {
			if !slices.ContainsFunc(bare.Statement, func(b iam.Statement) bool { return b.Sid == s.Sid }) {
				got = append(got, strings.Join(s.Action, " "), strings.Join(s.Resource, " "))
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %s, want %s", sources, got, want)
		}
	}
	checkPolicy(t, "aws-cn", fleetPolicy("aws-cn", places("web", "s3://releases/apps")))
}

// The example for Terraform has the policy of the example configuration.
func TestExamplePolicy(t *testing.T) {
	const examples = "../../systemd/packaging/"
	want, err := os.ReadFile(examples + "terraform/role-policy.json")
	if err != nil {
		t.Fatal(err)
	}
	var out, said bytes.Buffer
	if code := run(t.Context(), []string{"iam-policy", "--config", examples + "koboshi.toml"}, nil, &out, &said); code != 0 {
		t.Fatalf("exit %d: %s", code, said.String())
	}
	if !bytes.Equal(out.Bytes(), want) {
		t.Errorf("the example is out of date: koboshi iam-policy prints\n%s", out.String())
	}
}
