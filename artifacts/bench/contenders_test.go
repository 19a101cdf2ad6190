//go:build bench

package bench

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"koboshi/agent/awstest/autoscaling"
)

// contender is one way to bring an artifact onto a disk.
type contender struct {
	name string
	tree string // where it leaves the tree, beneath the disk; "" = there is none
	idle bool   // it takes no disk
	run  func(disk string) sample
}

const koboshi = "koboshi"

// script is a contender as people write it.
type script struct {
	name     string
	needs    string // program
	download string // brings $KEY of $BUCKET to $ARCHIVE; "" = a pipe
}

var scripts = []script{
	{aws, "/usr/bin/aws", `/usr/bin/aws --endpoint-url "$AWS_ENDPOINT_URL" s3 cp --only-show-errors "s3://$BUCKET/$KEY" "$ARCHIVE"`},
	{"rclone, sha256sum, tar", "rclone", `env -u AWS_CA_BUNDLE rclone copyto --multi-thread-cutoff 8M --multi-thread-streams 16 ":s3:$BUCKET/$KEY" "$ARCHIVE"`},
	{"s5cmd, sha256sum, tar", "s5cmd", `s5cmd --endpoint-url "$AWS_ENDPOINT_URL" cp --concurrency 16 "s3://$BUCKET/$KEY" "$ARCHIVE"`},
	{"curl, tee, sha256sum, tar", "curl", ""},
}

// contenders are koboshi and the scripts whose programs are installed.
func (l *lab) contenders(w *workload) []contender {
	all := []contender{l.koboshi(w, koboshi, l.binary)}
	if w.origin == shaped && !w.lean {
		all = append(all, l.koboshi(w, koboshi+", GOMEMLIMIT=64MiB", l.binary, "GOMEMLIMIT=64MiB"))
	}
	if len(w.images) > 0 {
		all = append(all, l.boot(w, atLaunch, "", l.binary))
	}
	if base := os.Getenv("BASE"); base != "" {
		all = append(all, l.koboshi(w, koboshi+before, base))
		if len(w.images) > 0 {
			all = append(all, l.boot(w, atLaunch+before, "", base))
		}
	}
	for _, i := range w.images {
		all = append(all, l.installing(i.app, mounting(i.kind), "auto", l.binary))
		if w.serves {
			all = append(all, l.boot(w, atLaunch+" "+i.kind, i.app, l.binary))
		}
		if base := os.Getenv("BASE"); base != "" {
			all = append(all, l.installing(i.app, mounting(i.kind)+before, "auto", base))
		}
	}
	for _, s := range scripts {
		if w.lean && s.name != aws {
			continue
		}
		all = append(all, l.scripted(w, s))
	}
	return all
}

// Names of contenders.
const (
	before   = ", before"
	atLaunch = "koboshi boot"
	aws      = "aws s3 cp, sha256sum, tar"
)

func mounting(kind string) string { return koboshi + ", " + kind }

func (l *lab) scripted(w *workload, s script) contender {
	if _, err := exec.LookPath(s.needs); err != nil {
		return contender{name: s.name, idle: true, run: func(string) sample { return sample{err: errMissing} }}
	}
	return contender{name: s.name, tree: "tree", run: func(disk string) sample {
		if !w.serves {
			return run(l.script(w, s, disk))
		}
		return l.answered(func() sample { return run(l.script(w, s, disk)) })
	}}
}

// koboshi resolves, installs and activates, and starts nothing.
func (l *lab) koboshi(w *workload, name, binary string, env ...string) contender {
	return l.installing(w.app, name, "never", binary, env...)
}

func (l *lab) installing(app, name, images, binary string, env ...string) contender {
	return contender{name: name, tree: "root/current", run: func(disk string) sample {
		config, err := l.configure(disk, app, images, "[service]\nrestart = [\"true\"]\n[health]\ncommand = [\"true\"]\n")
		if err != nil {
			return sample{err: err}
		}
		cmd := command(binary, "prebake", "--config", config)
		cmd.Env = append(append(cmd.Env, l.env()...), env...)
		return run(cmd)
	}}
}

func (l *lab) configure(disk, app, images, more string) (config string, err error) {
	state, err := os.MkdirTemp(l.memory, "run-")
	if err != nil {
		return "", err
	}
	config = filepath.Join(disk, "koboshi.toml")
	text := fmt.Sprintf("app = %q\nsource = \"s3://bench/apps\"\n[trust]\nkeys = [%q]\n[install]\nroot = %q\nimages = %q\n"+
		"[state]\ndir = %q\nrun = %q\n", app, filepath.Join(l.dir, "release.pub"), filepath.Join(disk, "root"), images, filepath.Join(disk, "state"), state)
	return config, os.WriteFile(config, []byte(text+more), 0o644)
}

// boot is a launch, from koboshi's start to CONTINUE: of a tree, or of the image that
// an app has.
func (l *lab) boot(w *workload, name, app, binary string) contender {
	images := "auto"
	if app == "" {
		app, images = w.app, "never"
	}
	return contender{name: name, tree: "root/current", run: func(disk string) sample {
		start, health := `touch "$0"`, `command = ["true"]`
		if w.serves {
			start, health = start+"; "+l.start("."), fmt.Sprintf("url = \"http://127.0.0.1:%d/\"\nlistener = \"any\"", l.port)
		}
		started := filepath.Join(disk, "started")
		config, err := l.configure(disk, app, images, fmt.Sprintf("[service]\nrestart = [\"sh\", \"-c\", '%s', %q]\n[health]\n%s\nbake = \"1ms\"\n[hooks]\nuser = \"root\"\n", start, started, health))
		if err != nil {
			return sample{err: err}
		}
		instance, err := l.aws.Launch(autoscaling.LaunchOptions{Group: "bench"})
		if err != nil {
			return sample{err: err}
		}
		cmd := command(binary, "boot", "--config", config)
		cmd.Env = append(cmd.Env, instance.Env()...)
		var s sample
		if w.serves {
			s = l.answered(func() sample { return run(cmd) })
		} else {
			s = run(cmd)
		}
		if info, err := os.Stat(started); err == nil {
			s.started = info.ModTime().Sub(s.began)
		} else {
			s.err = errors.Join(s.err, err)
		}
		return s
	}}
}

// start is a shell's line that starts the app in a directory, and leaves it running.
func (l *lab) start(dir string) string {
	return fmt.Sprintf(`setsid --fork node "%s/server.js" %d >/dev/null 2>&1`, dir, l.port)
}

// script ends where koboshi does: verified, unpacked, durable, no archive left.
func (l *lab) script(w *workload, s script, disk string) *exec.Cmd {
	lines := []string{"set -euo pipefail", `mkdir "$DISK/tree"`}
	if s.download != "" {
		lines = append(lines, s.download, `echo "$SHA256  $ARCHIVE" | sha256sum --check --quiet`, unpackFile[w.format], `rm -f "$ARCHIVE"`)
	} else {
		lines = append(lines, `mkfifo "$DISK/fifo"`, `sha256sum <"$DISK/fifo" >"$DISK/sum" &`,
			`curl --fail --silent --show-error "$AWS_ENDPOINT_URL/$BUCKET/$KEY?X-Amz-Signature=x" | tee "$DISK/fifo" | `+unpackPipe[w.format],
			"wait", `grep -q "^$SHA256 " "$DISK/sum"`)
	}
	lines = append(lines, `sync -f "$DISK"`)
	if w.serves {
		lines = append(lines, l.start("$DISK/tree"))
	}
	cmd := command("bash", "-c", strings.Join(lines, "\n"))
	cmd.Env = append(append(cmd.Env, l.env()...),
		"BUCKET=bench", "KEY="+w.key, "SHA256="+w.sha256, "DISK="+disk, "ARCHIVE="+filepath.Join(disk, "archive"))
	return cmd
}

var unpackFile = map[string]string{
	"tar.zst": `tar --zstd -xf "$ARCHIVE" -C "$DISK/tree"`,
	"tar.gz":  `tar -xzf "$ARCHIVE" -C "$DISK/tree"`,
	"file":    `chmod 755 "$ARCHIVE"; mv "$ARCHIVE" "$DISK/tree/app"`,
}

var unpackPipe = map[string]string{
	"tar.zst": `tar --zstd -xf - -C "$DISK/tree"`,
	"tar.gz":  `tar -xzf - -C "$DISK/tree"`,
	"file":    `cat >"$DISK/tree/app"`,
}
