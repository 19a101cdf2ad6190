//go:build boottest && apps

package boottest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// workshop is the machine on which a recipe's app is built and published. Its
// disk is none of the instance's.
type workshop struct {
	*lab
	host host
	disk string
}

const (
	home    = "/home/dev"
	project = home + "/web"
)

// outside is this machine's own network, in which npm finds its registry. It is
// opened before any test leaves that.
var outside, errOutside = os.Open("/proc/self/ns/net")

// indexes are files in the home directory by which programs find Debian's packages
// in place of an index that cannot be reached.
var indexes = map[string]string{
	".config/pip/pip.conf": "[global]\nno-index = true\nfind-links = /usr/local/share/wheels\n",
	".m2/settings.xml": "<settings><mirrors><mirror><id>debian</id><mirrorOf>*</mirrorOf>" +
		"<url>file:///usr/share/maven-repo</url></mirror></mirrors></settings>\n",
	".bundle/config": "---\nBUNDLE_MIRROR__HTTPS://RUBYGEMS__ORG/: \"file:///usr/local/share/gems\"\n",
}

// newWorkshop makes a build machine with all runtimes, and the Go of this one.
func newWorkshop(l *lab, host host) *workshop {
	l.Helper()
	dir := filepath.Join(l.dir, "build")
	must(l.T, os.Mkdir(dir, 0o755))
	w := &workshop{l, host, overlay(l.T, dir, *runtimes+":"+*rootFS)}
	must(l.T, unix.Mount("proc", filepath.Join(w.disk, "proc"), "proc", 0, ""))
	w.shareGo(dir)
	w.share(built.path("koboshi"), "usr/local/bin/koboshi")
	w.share("testdata/docker", "usr/local/bin/docker")
	w.write("/", map[string]string{"etc/resolv.conf": host.resolver, "etc/ca.pem": host.authorities})
	w.write(home, indexes)
	return w
}

// share shows a program of this machine. A copy that was written a moment ago
// could not be run while another test starts a process, which has it open.
func (w *workshop) share(file, as string) {
	w.Helper()
	w.write("/", map[string]string{as: ""})
	must(w.T, unix.Mount(file, filepath.Join(w.disk, as), "", unix.MS_BIND, ""))
}

// shareGo shows the Go of this machine, and above what that has compiled a
// directory for what is compiled here.
func (w *workshop) shareGo(dir string) {
	w.Helper()
	goroot, cache := filepath.Join(w.disk, w.host.goroot), filepath.Join(w.disk, home, ".cache/go-build")
	must(w.T, os.MkdirAll(goroot, 0o755))
	must(w.T, os.MkdirAll(cache, 0o755))
	must(w.T, unix.Mount(w.host.goroot, goroot, "", unix.MS_BIND, ""))
	must(w.T, unix.Mount("", goroot, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	upper, work := filepath.Join(dir, "go-upper"), filepath.Join(dir, "go-work")
	must(w.T, os.Mkdir(upper, 0o755))
	must(w.T, os.Mkdir(work, 0o755))
	must(w.T, unix.Mount("overlay", cache, "overlay", 0, fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", w.host.gocache, upper, work)))
}

// host is what a build machine needs of this one.
type host struct {
	resolver, authorities string // texts: who knows names, and whom to trust
	goroot, gocache       string
}

func readHost(t *testing.T) (h host) {
	t.Helper()
	must(t, errOutside)
	for file, text := range map[string]*string{"/etc/resolv.conf": &h.resolver, "/etc/ssl/certs/ca-certificates.crt": &h.authorities} {
		data, err := os.ReadFile(file)
		must(t, err)
		*text = string(data)
	}
	out, err := exec.Command("go", "env", "GOROOT", "GOCACHE").Output()
	must(t, err)
	h.goroot, h.gocache, _ = strings.Cut(strings.TrimSpace(string(out)), "\n")
	return h
}

// write puts files into a directory there.
func (w *workshop) write(dir string, files map[string]string) {
	w.Helper()
	for name, text := range files {
		path := filepath.Join(w.disk, dir, name)
		must(w.T, os.MkdirAll(filepath.Dir(path), 0o755))
		must(w.T, os.WriteFile(path, []byte(text), 0o644))
	}
}

// run runs one command of a recipe.
func (w *workshop) run(line string) {
	w.Helper()
	out, err := w.command(line).CombinedOutput()
	if err != nil {
		w.Fatalf("%s: %v\n%s", line, err, out)
	}
	w.Logf("$ %s\n%s", line, out)
}

// command is a line of a recipe. What speaks to AWS runs in the network of the
// loopback AWS, everything else in this machine's own.
func (w *workshop) command(line string) *exec.Cmd {
	program, _, _ := strings.Cut(line, " ")
	if program == "aws" { // of this machine
		cmd := exec.CommandContext(w.Context(), "sh", "-euc", line)
		cmd.Env = append(append(os.Environ(), "AWS_DEFAULT_REGION=us-east-1", "PATH="+filepath.Join(w.root, "usr/local/bin")+":/usr/bin:/bin"), builder()...)
		return cmd
	}
	args := []string{"chroot", w.disk, "sh", "-euc", "cd " + project + "; " + line}
	if program != "koboshi" {
		args = append([]string{"nsenter", "--net=/proc/self/fd/3", "--"}, args...)
	}
	cmd := exec.CommandContext(w.Context(), args[0], args[1:]...)
	cmd.ExtraFiles = []*os.File{outside}
	cmd.Env = append(builder(), "HOME="+home, "LC_ALL=C.UTF-8", "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:"+w.host.goroot+"/bin",
		"GOTOOLCHAIN=local", "MAVEN_OPTS=-Duser.home="+home, "NODE_EXTRA_CA_CERTS=/etc/ca.pem", "SSL_CERT_FILE=/etc/ca.pem")
	return cmd
}
