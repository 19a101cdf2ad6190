package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// floors is the architecture: a package imports only packages of lower floors,
// never of its own or a higher one. Packages that are not listed are for tests
// only.
var floors = map[string]int{
	"artifacts/durable": 0, "artifacts/pace": 0,

	"artifacts": 1, "artifacts/bucket": 1, "artifacts/iam": 1, "systemd": 1,

	"agent/process": 2, "agent/awsapi": 2, "artifacts/tree": 2, "artifacts/amis": 2, "artifacts/retire": 2,

	"artifacts/unpack": 3, "artifacts/delta": 3, "artifacts/image": 3, "artifacts/lint": 3, "artifacts/codedeploy": 3, "artifacts/convert": 3,
	"artifacts/bucket/s3": 3, "artifacts/bucket/dir": 3, "artifacts/bucket/https": 3,
	"agent/instance": 3, "agent/signer": 3, "agent/lifecycle": 3, "agent/balancer": 3, "agent/group": 3,
	"agent/health": 3, "agent/report": 3, "agent/config": 3,

	"artifacts/format": 4,

	"artifacts/fetch": 5, "artifacts/store": 5, "artifacts/publish": 5,
	"agent/state": 5, "agent/service": 5, "agent/mounts": 5, "agent/lease": 5, "agent/guard": 5, "agent/refresh": 5, "agent/notice": 5, "agent/census": 5, "agent/flush": 5,
	"agent/report/picture": 5, "systemd/install": 5,

	"artifacts/prune": 6, "agent/drain": 6, "agent/nodeid": 6,

	"agent/failure": 7,

	"agent/converge": 8, "agent/doctor": 8,

	"agent": 9, "cmd/koboshi/help": 9,

	"cmd/koboshi": 10, "cmd/koboshi-mock": 10,
}

// mockFloors are those of the mock, which uses nothing of the product.
var mockFloors = map[string]int{
	"agent/awstest/account": 0, "agent/awstest/loopback": 0, "agent/awstest/faults": 0, "agent/awstest/imds": 1,
	"agent/awstest/s3": 1, "agent/awstest/query": 1, "agent/awstest/jsonrpc": 1,
	"agent/awstest/sts": 2, "agent/awstest/autoscaling": 2, "agent/awstest/cloudformation": 2, "agent/awstest/elb": 2, "agent/awstest/ssm": 2, "agent/awstest/kms": 2, "agent/awstest/secretsmanager": 2, "agent/awstest/dynamodb": 2, "agent/awstest/codedeploy": 2,
	"agent/awstest/ec2": 3, "agent/awstest/control": 4, "agent/awstest": 5,
}

// testOnly are packages that no product package may import.
var testOnly = []string{"agent/awstest", "agent/report/reporttest", "artifacts/tree/treetest", "artifacts/durable/durabletest", "artifacts/bucket/buckettest", "agent/lease/model", "agent/lease/leasetest"}

func isTestOnly(pkg string) bool {
	return slices.ContainsFunc(testOnly, func(p string) bool { return pkg == p || strings.HasPrefix(pkg, p+"/") })
}

// reserved are outside modules that only some packages may use.
var reserved = map[string][]string{
	"github.com/aws/":                 {"artifacts/bucket/s3", "agent/awsapi", "agent/signer", "agent/lifecycle", "agent/balancer", "agent/group", "agent/instance", "agent/lease", "cmd/koboshi"},
	"github.com/coreos/go-systemd":    {"systemd"},
	"github.com/godbus/":              {"systemd"},
	"go.uber.org/zap":                 {"agent", "cmd/koboshi", "cmd/koboshi-mock"},
	"github.com/spf13/cobra":          {"cmd/koboshi", "cmd/koboshi-mock"},
	"github.com/rogpeppe/go-internal": {},
	"github.com/anishathalye/":        {},
	"text/template":                   {}, // switches off the linker's dead-code elimination
	"html/template":                   {},
	"os/exec":                         {"agent/process", "cmd/koboshi-mock/demo/web"},
	"github.com/BurntSushi/toml":      {"agent/config"},
	"github.com/klauspost/compress":   {"artifacts/tree", "artifacts/unpack", "artifacts/delta", "artifacts/publish", "artifacts/convert", "artifacts/image"},
	"github.com/ulikunitz/xz":         {"artifacts/convert"},
	"go.yaml.in/yaml":                 {"artifacts/codedeploy"},
	"github.com/hashicorp/":           {"artifacts/bucket/https", "agent/health", "agent/flush"},
	"github.com/secure-systems-lab/":  {"artifacts"},
	"github.com/prometheus/procfs":    {"agent/health", "agent/instance"},
}

// TestFloors reads the sources themselves, so that the test cache notices a
// change in any of them.
func TestFloors(t *testing.T) {
	root := os.DirFS("../..")
	seen := map[string]bool{}
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || strings.Contains(name, "/testdata/") {
			return err
		}
		dir := path.Dir(name)
		seen[dir] = true
		for _, imported := range imports(t, root, name) {
			if fault := trespass(dir, imported); fault != "" {
				t.Errorf("%s imports %s: %s", name, imported, fault)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"artifacts", "agent", "cmd/koboshi"} {
		if !seen[p] {
			t.Errorf("no source of %s was read", p)
		}
	}
}

func imports(t *testing.T, root fs.FS, name string) []string {
	t.Helper()
	source, err := fs.ReadFile(root, name)
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, imported)
	}
	return out
}

// trespass is what is wrong with an import, "" if nothing is.
func trespass(importer, imported string) string {
	if above, ofMock := mockFloors[importer]; ofMock {
		if own, ok := strings.CutPrefix(imported, "koboshi/"); ok {
			if below, ok := mockFloors[own]; !ok || below >= above {
				return "it does not lie on a lower floor of the mock"
			}
		}
		return ""
	}
	if isTestOnly(importer) {
		return ""
	}
	for prefix, allowed := range reserved {
		if strings.HasPrefix(imported, prefix) && !slices.Contains(allowed, importer) {
			return "only for " + strings.Join(append(slices.Clone(allowed), "tests"), ", ")
		}
	}
	own, ok := strings.CutPrefix(imported, "koboshi/")
	if !ok {
		return ""
	}
	if isTestOnly(own) {
		if importer == "cmd/koboshi-mock" {
			return ""
		}
		return "it is for tests"
	}
	above, listed := floors[importer]
	if !listed {
		return "the importer is on no floor"
	}
	below, listed := floors[own]
	if !listed {
		return "it is on no floor"
	}
	if below >= above {
		return "it does not lie on a lower floor"
	}
	return ""
}

func TestTrespassIsNoticed(t *testing.T) {
	for _, forbidden := range [][2]string{
		{"artifacts", "koboshi/artifacts/fetch"},               // up
		{"artifacts/fetch", "koboshi/artifacts/store"},         // sideways
		{"artifacts/fetch", "koboshi/agent"},                   // up, across
		{"agent", "koboshi/cmd/koboshi"},                       // up
		{"agent", "koboshi/agent/awstest"},                     // a test package
		{"agent", "koboshi/agent/awstest/faults"},              // a package of one
		{"agent/awstest/s3", "koboshi/agent/awstest/imds"},     // sideways in the mock
		{"agent/awstest/s3", "koboshi/artifacts"},              // the product in the mock
		{"agent", "github.com/aws/aws-sdk-go-v2/service/s3"},   // the SDK
		{"agent/health", "github.com/coreos/go-systemd/v22/x"}, // systemd
		{"artifacts/store", "go.uber.org/zap"},                 // a leaf that logs
		{"cmd/other", "koboshi/agent"},                         // an unknown package
	} {
		if trespass(forbidden[0], forbidden[1]) == "" {
			t.Errorf("%s may import %s", forbidden[0], forbidden[1])
		}
	}
}
