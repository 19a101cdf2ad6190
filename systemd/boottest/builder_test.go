//go:build boottest && apps

package boottest

import (
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
	disk string
}

const (
	home    = "/home/dev"
	project = home + "/web"
)

// outside is this machine's own network, in which npm finds its registry. It is
// opened before any test leaves that.
var outside, errOutside = os.Open("/proc/self/ns/net")

// newWorkshop makes a build machine with all runtimes. The Go of this machine, and
// what that has compiled, are visible there.
func newWorkshop(l *lab, host hostFiles) *workshop {
	l.Helper()
	dir := filepath.Join(l.dir, "build")
	must(l.T, os.Mkdir(dir, 0o755))
	w := &workshop{l, overlay(l.T, dir, *runtimes+":"+*rootFS)}
	must(l.T, os.MkdirAll(filepath.Join(w.disk, project), 0o755))
	must(l.T, unix.Mount("proc", filepath.Join(w.disk, "proc"), "proc", 0, ""))
	must(l.T, os.WriteFile(filepath.Join(w.disk, "etc/resolv.conf"), host.resolver, 0o644))
	must(l.T, os.WriteFile(filepath.Join(w.disk, "etc/ca.pem"), host.authorities, 0o644))
	must(l.T, copyFile(filepath.Join(w.disk, "usr/local/bin/koboshi"), built.path("koboshi"), 0o755))
	return w
}

// hostFiles are files of this machine that others need to reach a network as it
// does.
type hostFiles struct{ resolver, authorities []byte }

func readHostFiles(t *testing.T) (h hostFiles) {
	t.Helper()
	must(t, errOutside)
	var err error
	h.resolver, err = os.ReadFile("/etc/resolv.conf")
	must(t, err)
	h.authorities, err = os.ReadFile("/etc/ssl/certs/ca-certificates.crt")
	must(t, err)
	return h
}

// write puts files of the project there.
func (w *workshop) write(project map[string]string) {
	w.Helper()
	for name, text := range project {
		path := filepath.Join(w.disk, home, "web", name)
		must(w.T, os.MkdirAll(filepath.Dir(path), 0o755))
		must(w.T, os.WriteFile(path, []byte(text), 0o644))
	}
}

// run runs a recipe's commands, one at a time.
func (w *workshop) run(commands []string) {
	w.Helper()
	for _, line := range commands {
		cmd := w.command(line)
		out, err := cmd.CombinedOutput()
		if err != nil {
			w.Fatalf("%s: %v\n%s", line, err, out)
		}
		w.Logf("$ %s\n%s", line, out)
	}
}

// command is a line of a recipe. What speaks to AWS runs in the network of the
// loopback AWS, everything else in this machine's own.
func (w *workshop) command(line string) *exec.Cmd {
	program, _, _ := strings.Cut(line, " ")
	if program == "aws" { // of this machine
		cmd := exec.CommandContext(w.Context(), "sh", "-euc", line)
		cmd.Env = append(append(os.Environ(), "AWS_DEFAULT_REGION=us-east-1"), builder()...)
		return cmd
	}
	args := []string{"chroot", w.disk, "sh", "-euc", "cd " + project + "; " + line}
	if program != "koboshi" {
		args = append([]string{"nsenter", "--net=/proc/self/fd/3", "--"}, args...)
	}
	cmd := exec.CommandContext(w.Context(), args[0], args[1:]...)
	cmd.ExtraFiles = []*os.File{outside}
	cmd.Env = append(builder(), "HOME="+home, "LC_ALL=C.UTF-8", "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin",
		"PIP_NO_INDEX=1", "PIP_FIND_LINKS=/usr/local/share/wheels", // Debian's packages as wheels
		"NODE_EXTRA_CA_CERTS=/etc/ca.pem", "SSL_CERT_FILE=/etc/ca.pem")
	return cmd
}
