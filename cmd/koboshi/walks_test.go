package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"koboshi/cmd/koboshi/help"
)

const walkSource = "s3://acme-releases/apps"

// walker is a release side, with a directory to publish.
func newWalker(t *testing.T) *deployer {
	t.Helper()
	d := newDeployer(t)
	d.check(os.Mkdir(filepath.Join(d.dir, "dist"), 0o755)) //nolint:gosec // it is published
	d.check(os.WriteFile(filepath.Join(d.dir, "dist", "VERSION"), []byte("1"), 0o600))
	return d
}

// walk runs a script of the topic security as it is.
func (d *deployer) walk(name string) {
	d.Helper()
	topic, _ := help.Find("security")
	script, found := between(topic.Text, "```sh\n# "+name+"\n", "```\n")
	if !found {
		d.Fatalf("no %s in the topic", name)
	}
	d.run(script, "SOURCE="+walkSource)
}

// installs reports whether a machine with these lines in [trust] installs what the
// channel points to. Keys are files of the walk.
func (d *deployer) installs(trust string) bool {
	d.Helper()
	machine := d.TempDir()
	text := fmt.Sprintf("app = \"web\"\nsource = %q\n[trust]\n%s\n[install]\nroot = %q\n[service]\nrestart = [\"true\"]\n[health]\ncommand = [\"true\"]\n[state]\ndir = %q\nrun = %q\n",
		walkSource, strings.ReplaceAll(trust, "KEYS", d.dir), machine+"/opt", machine+"/state", machine+"/run")
	config := filepath.Join(machine, "koboshi.toml")
	d.check(os.WriteFile(config, []byte(text), 0o600))
	code := d.run("code=0; koboshi --config " + config + " prebake >prebake.log 2>&1 || code=$?; echo $code")
	if code != "0" && code != "14" {
		said, _ := os.ReadFile(filepath.Join(d.dir, "prebake.log"))
		d.Fatalf("with %s: exit %s: %s", trust, code, said)
	}
	return code == "0"
}

func (d *deployer) wantInstalls(want map[string]bool) {
	d.Helper()
	for trust, installs := range want {
		if got := d.installs(trust); got != installs {
			d.Errorf("with %s: installs %v, want %v", trust, got, installs)
		}
	}
}

func TestWalkTwoKeys(t *testing.T) {
	d := newWalker(t)
	d.walk("two-keys.sh")
	d.wantInstalls(map[string]bool{`keys = ["KEYS/build.pub", "KEYS/review.pub"]` + "\nthreshold = 2": true})
	d.run("koboshi promote --source " + walkSource + " --app web --channel stable --version 1.4.2 --key build.key")
	d.wantInstalls(map[string]bool{`keys = ["KEYS/build.pub", "KEYS/review.pub"]` + "\nthreshold = 2": false})
}

func TestWalkPublisherAndPromoter(t *testing.T) {
	d := newWalker(t)
	d.walk("apart.sh")
	apart := `keys = ["KEYS/publish.pub"]` + "\n" + `promote_keys = ["KEYS/promote.pub"]`
	d.wantInstalls(map[string]bool{apart: true, `keys = ["KEYS/publish.pub"]`: false, `keys = ["KEYS/promote.pub"]`: false,
		`keys = ["KEYS/promote.pub"]` + "\n" + `promote_keys = ["KEYS/publish.pub"]`: false})
	d.run("koboshi promote --source " + walkSource + " --app web --channel canary --version 1.4.2 --key publish.key")
	if out := d.run("koboshi promote --source " + walkSource + " --app web --channel canary --version 1.4.2 --key promote.key 2>&1 || echo $?"); !strings.HasSuffix(out, "\n14") {
		t.Errorf("a promoter moves a channel without --trust: %s", out)
	}
	d.run("koboshi promote --source " + walkSource + " --app web --channel stable --version 1.4.2 --key publish.key --key promote.key")
	d.wantInstalls(map[string]bool{apart: true})
	d.run("koboshi publish --source " + walkSource + " --app web --version 6.6.6 --key promote.key ./dist; koboshi promote --source " + walkSource + " --app web --channel stable --version 6.6.6 --key promote.key")
	d.wantInstalls(map[string]bool{apart: false})
}

func TestWalkRotation(t *testing.T) {
	d := newWalker(t)
	d.run("koboshi keygen --out release; koboshi publish --source " + walkSource + " --app web --version 1.4.2 --key release.key ./dist; koboshi promote --source " + walkSource + " --app web --channel stable --version 1.4.2 --key release.key")
	d.walk("rotation.sh")
	old, both, next := `keys = ["KEYS/release.pub"]`, `keys = ["KEYS/release.pub", "KEYS/next.pub"]`, `keys = ["KEYS/next.pub"]`
	d.wantInstalls(map[string]bool{old: true, both: true, next: true, both + "\nthreshold = 2": true})
	d.walk("old-key-goes.sh")
	d.wantInstalls(map[string]bool{old: false, both: true, next: true, both + "\nthreshold = 2": false})
}

func TestWalkLostKey(t *testing.T) {
	d := newWalker(t)
	d.run("koboshi keygen --out release; koboshi keygen --out spare; koboshi publish --source " + walkSource + " --app web --version 1.4.2 --key release.key ./dist; koboshi promote --source " + walkSource + " --app web --channel stable --version 1.4.2 --key release.key; rm release.key")
	d.walk("lost-key.sh")
	d.wantInstalls(map[string]bool{`keys = ["KEYS/release.pub", "KEYS/spare.pub"]`: true, `keys = ["KEYS/spare.pub"]`: true, `keys = ["KEYS/release.pub"]`: false})
}
