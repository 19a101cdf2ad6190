package config

import (
	"strings"
	"testing"
)

const second = `app = "api"
source = "s3://acme-releases/apps"
trust.keys = ["/etc/koboshi/keys/release.pub"]
service.unit = "api.service"
health.url = "http://127.0.0.1:8081/healthz"
lifecycle.launch_hook = "api-launching"
lifecycle.terminate_hook = "api-terminating"
`

// app is a configuration file, with lines that replace those of the same key.
func app(t *testing.T, file, text string, lines ...string) App {
	t.Helper()
	for _, line := range lines {
		key, _, _ := strings.Cut(line, " ")
		var kept []string
		for _, old := range strings.Split(text, "\n") {
			if !strings.HasPrefix(old, key+" ") {
				kept = append(kept, old)
			}
		}
		text = strings.Join(append(kept, line), "\n")
	}
	c, err := Parse(File{Name: file, Data: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	return App{file, c}
}

func TestOverlaps(t *testing.T) {
	const first = `app = "web"
source = "s3://acme-releases/apps"
trust.keys = ["/etc/koboshi/keys/release.pub"]
service.unit = "web.service"
health.url = "http://127.0.0.1:8080/healthz"
`
	for _, tt := range []struct {
		name string
		more []string // lines of the second file
		want string   // "" = they can live together
		only bool     // just one of the two can run
	}{
		{"two apps", nil, "", false},
		{"one app twice", []string{`app = "web"`}, `/b.toml: install.root: "/opt/koboshi/web" is install.root of /a.toml`, true},
		{"one root", []string{`install.root = "/opt/koboshi/web"`}, `/b.toml:9: install.root: "/opt/koboshi/web" is install.root of /a.toml`, true},
		{"one state directory", []string{`state.dir = "/var/lib/koboshi/web"`}, `state.dir: "/var/lib/koboshi/web" is state.dir of /a.toml`, true},
		{"one run directory", []string{`state.run = "/run/koboshi/web"`}, `state.run: "/run/koboshi/web" is state.run of /a.toml`, true},
		{"another kind of directory", []string{`state.dir = "/opt/koboshi/web"`}, `state.dir: "/opt/koboshi/web" is install.root of /a.toml`, true},
		{"inside", []string{`install.root = "/opt/koboshi/web/releases/x"`}, `is inside install.root "/opt/koboshi/web" of /a.toml`, true},
		{"around", []string{`install.root = "/opt/koboshi"`}, `"/opt/koboshi" is around install.root "/opt/koboshi/web" of /a.toml`, true},
		{"through a link", []string{`install.root = "/link/web"`}, `"/link/web" is install.root of /a.toml`, true},
		{"next to it", []string{`install.root = "/opt/koboshi/web-2"`}, "", false},
		{"one unit", []string{`service.unit = "web.service"`}, `service.unit: "web.service" is a unit of /a.toml:4`, true},
		{"one port", []string{`health.url = "http://localhost:8080/"`}, `/b.toml:8: health.url: asks localhost:8080, as does health.url of /a.toml:5`, false},
		{"one port, another probe", []string{"health.url = \"\"\nhealth.tcp = \"[::1]:8080\""}, `health.tcp: asks localhost:8080`, false},
		{"one port, on purpose", []string{"health.url = \"http://localhost:8080/\"\nhealth.listener = \"any\""}, "", false},
		{"a port of another machine", []string{`health.url = "http://10.0.0.1:8080/"`}, "", false},
		{"one hook", []string{`lifecycle.launch_hook = "koboshi-launching"`}, `/b.toml:8: lifecycle.launch_hook: "koboshi-launching" is waited for once, so the first CONTINUE`, false},
		{"one unit of several", []string{"service.unit = \"\"\nservice.units = [\"api.service\", \"web.service\"]"}, `service.units: "web.service" is a unit of /a.toml:4`, true},
		{"one hook at the end", []string{`lifecycle.terminate_hook = "koboshi-terminating"`}, `lifecycle.terminate_hook: "koboshi-terminating" is waited for once, so the first app that has drained`, false},
		{"one hook in two groups", []string{"lifecycle.launch_hook = \"koboshi-launching\"\nlifecycle.group = \"api\""}, "", false},
		{"no hook", []string{`lifecycle.launch_hook = ""`}, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := app(t, "/a.toml", first)
			if tt.name == "one hook in two groups" {
				a = app(t, "/a.toml", first, `lifecycle.group = "web"`)
			}
			found := app(t, "/b.toml", second, tt.more...).Overlaps(a, func(path string) string {
				return strings.Replace(path, "/link/", "/opt/koboshi/", 1)
			})
			if tt.want == "" {
				if len(found) > 0 {
					t.Fatalf("found %v", found[0].Err)
				}
				return
			}
			if len(found) != 1 || !strings.Contains(found[0].Err.Error(), tt.want) || found[0].Fatal != tt.only || found[0].Err.Hint == "" {
				t.Fatalf("found %+v, want %s (fatal: %t)", found, tt.want, tt.only)
			}
		})
	}
}
