//go:build bench

package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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
	{"aws s3 cp, sha256sum, tar", "/usr/bin/aws", `/usr/bin/aws --endpoint-url "$AWS_ENDPOINT_URL" s3 cp --only-show-errors "s3://$BUCKET/$KEY" "$ARCHIVE"`},
	{"rclone, sha256sum, tar", "rclone", `env -u AWS_CA_BUNDLE rclone copyto --multi-thread-cutoff 8M --multi-thread-streams 16 ":s3:$BUCKET/$KEY" "$ARCHIVE"`},
	{"s5cmd, sha256sum, tar", "s5cmd", `s5cmd --endpoint-url "$AWS_ENDPOINT_URL" cp --concurrency 16 "s3://$BUCKET/$KEY" "$ARCHIVE"`},
	{"curl, tee, sha256sum, tar", "curl", ""},
}

// contenders are koboshi and the scripts whose programs are installed.
func (l *lab) contenders(w *workload) []contender {
	all := []contender{l.koboshi(w, koboshi, l.binary)}
	if w.origin == shaped {
		all = append(all, l.koboshi(w, koboshi+", GOMEMLIMIT=64MiB", l.binary, "GOMEMLIMIT=64MiB"))
	}
	if base := os.Getenv("BASE"); base != "" {
		all = append(all, l.koboshi(w, koboshi+" before", base))
	}
	for _, s := range scripts {
		if _, err := exec.LookPath(s.needs); err != nil {
			all = append(all, contender{name: s.name, idle: true, run: func(string) sample { return sample{err: errMissing} }})
			continue
		}
		all = append(all, contender{name: s.name, tree: "tree", run: func(disk string) sample { return run(l.script(w, s, disk)) }})
	}
	return all
}

// koboshi resolves, installs and activates, and starts nothing.
func (l *lab) koboshi(w *workload, name, binary string, env ...string) contender {
	return contender{name: name, tree: "root/current", run: func(disk string) sample {
		config := filepath.Join(disk, "koboshi.toml")
		text := fmt.Sprintf("app = %q\nsource = \"s3://bench/apps\"\n[trust]\nkeys = [%q]\n[install]\nroot = %q\n"+
			"[state]\ndir = %q\nrun = %q\n[service]\nrestart = [\"true\"]\n[health]\ncommand = [\"true\"]\n",
			w.app, filepath.Join(l.dir, "release.pub"), filepath.Join(disk, "root"), filepath.Join(disk, "state"), filepath.Join(disk, "run"))
		if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
			return sample{err: err}
		}
		cmd := command(binary, "prebake", "--config", config)
		cmd.Env = append(append(cmd.Env, l.env()...), env...)
		return run(cmd)
	}}
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
	cmd := command("bash", "-c", strings.Join(append(lines, `sync -f "$DISK"`), "\n"))
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
