package codedeploy

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"koboshi/artifacts"
)

const whole = `version: 0.0
os: linux
files:
  - source: /
    destination: /var/www/app
  - source: /etc/web.service
    destination: /etc/systemd/system
  - source: conf/app.conf
    destination: /etc/app
permissions:
  - object: /var/www/app
    pattern: "**"
    owner: www
    mode: 755
    type:
      - file
file_exists_behavior: OVERWRITE
hooks:
  ApplicationStop:
    - location: scripts/stop.sh
      timeout: 300
      runas: root
  BeforeInstall:
  AfterInstall:
    - location: /scripts/migrate.sh
      runas: web
  ApplicationStart:
    - location: scripts/start.sh
  ValidateService:
    - location: scripts/check.sh
`

func TestParse(t *testing.T) {
	spec, notes := Parse("appspec.yml", []byte(whole))
	want := &AppSpec{
		Files:       []File{{".", "/var/www/app"}, {"etc/web.service", "/etc/systemd/system"}, {"conf/app.conf", "/etc/app"}},
		Permissions: []string{"/var/www/app"},
		Scripts: []Script{
			{"ApplicationStop", "scripts/stop.sh", "root", 300}, {"AfterInstall", "scripts/migrate.sh", "web", 0},
			{"ApplicationStart", "scripts/start.sh", "", 0}, {"ValidateService", "scripts/check.sh", "", 0},
		},
	}
	if len(notes) > 0 || !reflect.DeepEqual(spec, want) {
		t.Errorf("%+v, %+v\nwant %+v", spec, notes, want)
	}
	if _, notes := Parse("appspec.yml", []byte("version: 0.0\nos: linux\nhooks:\nfiles:\n")); len(notes) > 0 {
		t.Errorf("empty tables: %+v", notes)
	}
}

// What is wrong is named with its line, all of it in one run.
func TestParseRefuses(t *testing.T) {
	const head = "version: 0.0\nos: linux\n"
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'k'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c,", c-1), 9), ","))
	}
	for name, tt := range map[string]struct {
		text string
		want []string // parts of texts and hints, in order
	}{
		"nothing":            {"", []string{"is empty"}},
		"a comment":          {"# nothing\n", []string{"is empty"}},
		"no YAML":            {"version: [\n", []string{"cannot be read"}},
		"two documents":      {head + "---\n" + head, []string{"more than one document"}},
		"a list":             {"- version\n", []string{"line 1: appspec: want a table"}},
		"no version":         {"os: linux\n", []string{"version is missing"}},
		"another version":    {"version: 1.0\nos: linux\n", []string{`version "1.0"`}},
		"Windows":            {"version: 0.0\nos: windows\n", []string{`os "windows", want linux`}},
		"Lambda":             {"version: 0.0\nResources:\n  - f:\n", []string{"ECS or Lambda"}},
		"an unknown key":     {head + "hook:\n", []string{`line 3: appspec: unknown key "hook"|did you mean "hooks"?`}},
		"an unknown event":   {head + "hooks:\n  AfterInstal:\n    - location: x\n", []string{`line 4: hooks: unknown key "AfterInstal"|did you mean "AfterInstall"?`}},
		"CodeDeploy's event": {head + "hooks:\n  Install:\n    - location: x\n", []string{"Install is CodeDeploy's own"}},
		"a key twice":        {head + "os: linux\n", []string{`line 3: appspec: "os" comes twice`}},
		"an event twice":     {head + "hooks:\n  AfterInstall:\n    - location: a\n  AfterInstall:\n    - location: b\n", []string{`"AfterInstall" comes twice`}},
		"a script's key":     {head + "hooks:\n  AfterInstall:\n    - location: a\n      run_as: web\n", []string{`line 6: hooks.AfterInstall[0]: unknown key "run_as"|did you mean "runas"?`}},
		"no list":            {head + "hooks:\n  AfterInstall:\n    location: a\n", []string{"hooks.AfterInstall: want a list"}},
		"a script outside":   {head + "hooks:\n  AfterInstall:\n    - location: ../a\n", []string{"location leads out"}},
		"no script":          {head + "hooks:\n  AfterInstall:\n    - timeout: 5\n", []string{"location is missing"}},
		"a timeout":          {head + "hooks:\n  AfterInstall:\n    - location: a\n      timeout: 1h\n", []string{`timeout "1h"`}},
		"a source outside":   {head + "files:\n  - source: a/../../b\n    destination: /a\n", []string{"source leads out"}},
		"a script's name":    {head + "hooks:\n  AfterInstall:\n    - location: \"a\\0b\"\n", []string{"a control character", "location is missing"}},
		"a destination":      {head + "files:\n  - source: a\n    destination: b\n", []string{`destination "b"`}},
		"permissions":        {head + "permissions:\n  - owner: web\n", []string{"object is missing"}},
		"a behavior":         {head + "file_exists_behavior: REPLACE\n", []string{`file_exists_behavior "REPLACE"`}},
		"an anchor":          {head + "hooks: &a\n", []string{"anchors and aliases"}},
		"an alias":           {head + "hooks:\n  AfterInstall: &a\n    - location: x\n  ValidateService: *a\n", []string{"hooks.AfterInstall: anchors", "hooks.ValidateService: anchors"}},
		"a bomb":             {bomb + "files: *j\n", []string{"unknown key", "unknown key", "unknown key", "unknown key", "unknown key", "unknown key", "unknown key", "unknown key", "unknown key", "unknown key", "version is missing", "os is missing", "anchors"}},
		"a merge":            {head + "hooks:\n  <<: {AfterInstall: [{location: x}]}\n", []string{`unknown key "<<"`}},
		"very deep":          {head + "files: " + strings.Repeat("[", 100_000), []string{"cannot be read"}},
		"very long":          {head + strings.Repeat("#\n", MaxBytes), []string{"more than 262144 bytes"}},
		"several":            {"version: 2\nos: linux\nfile: []\nhooks:\n  Validate: []\n", []string{`unknown key "file"`, `version "2"`, `unknown key "Validate"`}},
	} {
		t.Run(name, func(t *testing.T) {
			_, notes := Parse("appspec.yml", []byte(tt.text))
			if len(notes) != len(tt.want) {
				t.Fatalf("%+v, want %q", notes, tt.want)
			}
			for i, n := range notes {
				text, hint, _ := strings.Cut(tt.want[i], "|")
				if !n.Wrong || n.Path != "appspec.yml" || n.Hint == "" || !strings.Contains(n.Text, text) || !strings.Contains(n.Hint, hint) || len(n.Text) > 300 {
					t.Errorf("%+v, want %q", n, tt.want[i])
				}
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte("version: 0.0\nos: linux\nhooks:\n  AfterInstall: &a\n    - *a\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		spec, notes := Parse("appspec.yml", text)
		if len(notes) > 0 {
			return
		}
		hooks, _, err := spec.Plan(anything{}, artifacts.Hooks{})
		if err != nil || hooks.Validate() != nil {
			t.Errorf("%q: %+v, %v", text, hooks, err)
		}
	})
}

// anything is a bundle that has whatever is looked for.
type anything struct{}

func (anything) Has(string) bool             { return true }
func (anything) Runnable(string) error       { return nil }
func (anything) Head(string) ([]byte, error) { return []byte("#!/bin/sh\n"), nil }

// shelf is a bundle: contents by path. Those that begin with "#!" can be run.
type shelf map[string]string

func (s shelf) Has(path string) bool { return s[path] != "" }

func (s shelf) Runnable(path string) error {
	if !strings.HasPrefix(s[path], "#!") {
		return errors.New("not executable")
	}
	return nil
}

func (s shelf) Head(path string) ([]byte, error) { return []byte(s[path]), nil }

const script = "#!/bin/sh\n"

func TestPlan(t *testing.T) {
	bundle := shelf{"scripts/stop.sh": script + "echo $DEPLOYMENT_ID $MY_LIFECYCLE_EVENT\n", "scripts/migrate.sh": script, "scripts/check.sh": script,
		"etc/web.service": "[Service]", "conf/app.conf": "x"}
	spec, _ := Parse("appspec.yml", []byte(whole))
	hooks, notes, err := spec.Plan(bundle, artifacts.Hooks{})
	want := artifacts.Hooks{PreStart: []string{"scripts/migrate.sh"}, PostStart: []string{"scripts/check.sh"}, PreStop: []string{"scripts/stop.sh"}}
	if err != nil || !reflect.DeepEqual(hooks, want) {
		t.Errorf("hooks %+v, %v, want %+v", hooks, err, want)
	}
	expect(t, notes, false,
		": the bundle is not copied to /var/www/app|BindPaths=<root>/current:/var/www/app",
		`etc/web.service: is not copied|service.unit_file = "etc/web.service"`,
		"conf/app.conf: is not copied to /etc/app|bake it into the AMI",
		`: permissions of "/var/www/app" are not applied|StateDirectory=`,
		"scripts/start.sh: is not run: ApplicationStart|service.unit",
		`scripts/migrate.sh: ran as web at AfterInstall: it is the hook pre_start|hooks.user = "web"`,
		"scripts/check.sh: ran as root at ValidateService: it is the hook post_start|AMI",
		"scripts/stop.sh: ran as root at ApplicationStop: it is the hook pre_stop|hooks.user",
		`scripts/stop.sh: had 300 seconds|hooks.timeout = "300s"`,
		"scripts/stop.sh: reads DEPLOYMENT_ID|KOBOSHI_VERSION")
}

func expect(t *testing.T, notes []Note, wrong bool, want ...string) {
	t.Helper()
	if len(notes) != len(want) {
		t.Fatalf("%d notes, want %d: %+v", len(notes), len(want), notes)
	}
	for i, n := range notes {
		text, hint, _ := strings.Cut(want[i], "|")
		if n.Wrong != wrong || !strings.HasPrefix(n.Path+": "+n.Text, text) || !strings.Contains(n.Hint, hint) || n.Hint == "" {
			t.Errorf("%+v, want %q", n, want[i])
		}
	}
}

// Two scripts are no one program; a hook that is given decides.
func TestPlanOfSeveral(t *testing.T) {
	bundle := shelf{"a": script, "b": script, "c": script}
	spec, notes := Parse("appspec.yml", []byte(`version: 0.0
os: linux
file_exists_behavior: RETAIN
files: [{source: gone, destination: /x}]
hooks:
  BeforeInstall: [{location: a, runas: web}]
  AfterInstall: [{location: b, runas: web}]
  ValidateService: [{location: d, runas: web}]
  AfterAllowTraffic: [{location: c}]
`))
	if len(notes) > 0 {
		t.Fatal(notes)
	}
	_, notes, err := spec.Plan(bundle, artifacts.Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	var wrong, missing []Note
	for _, n := range notes {
		if n.Wrong {
			wrong = append(wrong, n)
		} else {
			missing = append(missing, n)
		}
	}
	expect(t, wrong, true, "gone: is in files and not in the bundle|build",
		": 2 scripts for pre_start, which is one program: a (BeforeInstall), b (AfterInstall)|--hook pre_start=PATH",
		"d: cannot run at ValidateService: not executable|chmod a+x")
	expect(t, missing, false, ": file_exists_behavior RETAIN|StateDirectory=", "c: is not run: AfterAllowTraffic|post_start")

	given := artifacts.Hooks{PreStart: []string{"bin/both"}, PostStart: []string{"bin/check"}}
	spec.Files, spec.Retain = nil, false
	hooks, notes, err := spec.Plan(bundle, given)
	if err != nil || !reflect.DeepEqual(hooks, given) {
		t.Errorf("%+v, %v", hooks, err)
	}
	expect(t, notes, false, "c: is not run", "a: is not run at BeforeInstall: --hook pre_start counts", "b: is not run at AfterInstall", "d: is not run at ValidateService: --hook post_start")
}
