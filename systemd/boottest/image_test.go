//go:build boottest

package boottest

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"koboshi/systemd"
)

// files are the files of a scenario's image, by absolute path. A text that begins
// with "-> " is a symbolic link; "" removes the file of the base image.
type files map[string]string

const (
	bootUnit = "/etc/systemd/system/koboshi-boot.service"
	webUnit  = "/etc/systemd/system/web.service"
	wants    = "/etc/systemd/system/multi-user.target.wants/"
	config   = "/etc/koboshi/koboshi.toml"
	dropIn   = "/etc/koboshi/koboshi.d/scenario.toml"

	cloudConfig = "/etc/cloud/cloud.cfg.d/99_lab.cfg"
)

const endpoint = "169.254.169.254:9000" // of the APIs; a virtual machine reaches it, too

const labEndpoint = "[Service]\nEnvironment=AWS_ENDPOINT_URL=http://" + endpoint + "\n"

// webService is the app's unit as in the topic ami.
const webService = `[Unit]
Description=The app
[Service]
Type=exec
User=daemon
WorkingDirectory=/opt/koboshi/web/current
EnvironmentFile=/run/koboshi/web/env
ExecStart=/opt/koboshi/web/current/web
[Install]
WantedBy=multi-user.target
`

const koboshiToml = `app      = "web"
source   = "s3://releases/apps"
[trust]
keys     = ["/etc/koboshi/keys/release.pub"]
[service]
unit     = "web.service"
[health]
url      = "http://127.0.0.1:8080/healthz"
timeout  = "5s"
bake     = "300ms"
[lifecycle]
abandon_delay = "0s"
`

// inContainer makes cloud-init look for EC2 although it runs in a container, where
// it does not read the firmware.
const inContainer = `[Service]
TemporaryFileSystem=/sys
BindReadOnlyPaths=/sys/class /sys/devices /sys/fs /etc/lab-hypervisor:/sys/hypervisor
`

// ec2Only has cloud-init ask EC2 only, and do only what is looked at here.
const ec2Only = `datasource_list: [Ec2]
datasource: {Ec2: {metadata_urls: ["http://169.254.169.254:80"]}}
locale: false
ssh_genkeytypes: []
`

// standard is the image that the topic ami describes: the binary, the key, the
// configuration and the units; koboshi's unit enabled, the app's not.
func standard() files {
	f := files{
		bootUnit:                       unitFile("koboshi-boot.service"),
		wants + "koboshi-boot.service": "-> " + bootUnit,
		webUnit:                        webService,
		config:                         koboshiToml,
		bootUnit + ".d/lab.conf":       labEndpoint,
		"/etc/systemd/system/koboshi-boot@.service.d/lab.conf":  labEndpoint,
		watchUnit + ".d/lab.conf":                               labEndpoint,
		"/etc/systemd/system/koboshi-watch@.service.d/lab.conf": labEndpoint,

		"/etc/cloud/ds-identify.cfg":            "policy: enabled\n",
		cloudConfig:                             ec2Only,
		"/etc/lab-hypervisor/uuid":              "ec2a5c0d-e000-0000-0000-000000000001\n",
		"/var/log/journal/.keep":                "\n",
		"/etc/systemd/journald.conf.d/lab.conf": "[Journal]\nStorage=persistent\nRateLimitBurst=0\n",

		"/etc/systemd/system/observer.service": "[Unit]\nDescription=Looks at the boot\n[Service]\nType=exec\nEnvironmentFile=/etc/lab/observer\n" +
			"ExecStart=/usr/local/bin/observer /var/lab/seen.json $VERB $LIMIT\n",
		wants + "observer.service": "-> /etc/systemd/system/observer.service",
	}
	for _, unit := range []string{"cloud-init-local.service", "cloud-init.service", "cloud-config.service", "cloud-final.service"} {
		f["/etc/systemd/system/"+unit+".d/lab.conf"] = inContainer
	}
	for _, unit := range []string{"apt-daily.timer", "apt-daily-upgrade.timer", "e2scrub_reap.service", "getty@tty1.service"} {
		f["/etc/systemd/system/"+unit] = "-> /dev/null" // only cost time here
	}
	return f
}

// renamed is the files in which the base image's cloud-init.service is renamed to
// cloud-init-network.service, references included.
func renamed(t *testing.T) files {
	t.Helper()
	const older, newer = "cloud-init.service", "cloud-init-network.service"
	const units, enabled = "/lib/systemd/system/", "/etc/systemd/system/cloud-init.target.wants/"
	f := files{
		units + older: "", enabled + older: "", enabled + newer: "-> " + units + newer,
		"/etc/systemd/system/" + newer + ".d/lab.conf": inContainer,
	}
	for _, unit := range []string{older, "cloud-config.target", "cloud-config.service", "cloud-final.service"} {
		text, err := os.ReadFile(filepath.Join(*rootFS, units, unit))
		must(t, err)
		f[units+strings.Replace(unit, older, newer, 1)] = strings.ReplaceAll(string(text), older, newer)
	}
	return f
}

// with returns f changed by more.
func (f files) with(more files) files {
	for name, text := range more {
		f[name] = text
	}
	return f
}

func unitFile(name string) string {
	text, err := fs.ReadFile(systemd.Units(), name)
	if err != nil {
		return err.Error() // no unit at all: every boot fails
	}
	return string(text)
}

// write puts the files below a directory.
func (f files) write(t *testing.T, root string) {
	t.Helper()
	for name, text := range f {
		path := filepath.Join(root, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.RemoveAll(path))
		target, link := strings.CutPrefix(text, "-> ")
		switch {
		case link:
			must(t, os.Symlink(target, path))
		case text != "":
			must(t, os.WriteFile(path, []byte(text), 0o644))
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
