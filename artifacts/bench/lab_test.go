//go:build bench

package bench

import (
	"crypto/sha256"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"koboshi/agent/awstest"
	"koboshi/agent/awstest/faults"
)

// lab is a loopback S3 with releases, and a place for disks.
type lab struct {
	testing.TB
	aws    *awstest.Server
	url    string // of the origin in use
	binary string // koboshi as it is shipped
	out    string
	dir    string // keys, configuration, mount point
	images string // where disks are made
	device string // of the one that is mounted
}

func newLab(t *testing.T) *lab {
	t.Helper()
	absolute, err := filepath.Abs(out)
	must(t, err)
	binary, err := filepath.Abs("../../.build/koboshi")
	must(t, err)
	certified := httptest.NewTLSServer(nil) // for its certificate of 127.0.0.1
	defer certified.Close()
	l := &lab{TB: t, aws: awstest.New(t, awstest.WithTLS(certified.TLS.Certificates[0])), binary: binary, out: absolute, dir: t.TempDir(), images: t.TempDir()}
	must(t, os.WriteFile(l.ca(), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certified.Certificate().Raw}), 0o644))
	if dir := os.Getenv("BENCH_DIR"); dir != "" {
		l.images, err = os.MkdirTemp(dir, "koboshi-bench-")
		must(t, err)
		t.Cleanup(func() { _ = os.RemoveAll(l.images) })
	}
	l.aws.S3().CreateBucket("bench")
	l.tool("keygen", "--out", filepath.Join(l.dir, "release"))
	return l
}

// shape sets how the origin behaves from now on.
func (l *lab) shape(origin shape) {
	script := l.aws.Faults()
	script.Clear()
	l.aws.Calls().Reset()
	l.url = l.aws.URL()
	if origin == secure {
		l.url = l.aws.TLSURL()
	}
	if origin == fast {
		return
	}
	get := faults.Fault{Service: "s3", Operation: "GetObject"}
	slow, busy, broken := get, get, get
	slow.BytesPerSecond = 90e6
	slow.Delay, slow.Jitter = faults.Duration(20*time.Millisecond), faults.Duration(20*time.Millisecond)
	script.Add(slow)
	if origin == faulty {
		busy.Percent, busy.Status, busy.Code = 5, 503, "SlowDown"
		broken.Percent, broken.ResetAfter = 5, 512<<10
		script.Add(busy)
		script.Add(broken)
	}
}

// publish releases the file or directory at path as version 1 of an app.
func (l *lab) publish(app, path, input, format string) *workload {
	l.Helper()
	l.shape(fast)
	fmt.Println("publishing", app)
	where := []string{"--source", "s3://bench/apps", "--app", app, "--version", "1", "--key", filepath.Join(l.dir, "release.key")}
	l.tool(append([]string{"publish", path}, where...)...)
	l.tool(append([]string{"promote", "--channel", "stable"}, where...)...)
	w := &workload{input: input, format: format, app: app}
	for _, key := range l.aws.S3().Keys("bench") {
		if strings.HasPrefix(key, "apps/"+app+"/releases/1/"+app+"-") {
			if data, ok := l.aws.S3().Object("bench", key); len(data) > len(w.data) && ok {
				w.key, w.data = key, data // not the index, which is smaller
			}
		}
	}
	w.sha256 = fmt.Sprintf("%x", sha256.Sum256(w.data))
	var err error
	w.files, w.plain, err = count(path)
	must(l, err)
	return w
}

// tool runs a command of koboshi's release side.
func (l *lab) tool(args ...string) {
	l.Helper()
	cmd := command(l.binary, args...)
	cmd.Env = append(cmd.Env, l.env()...)
	must(l, cmd.Run())
}

// ca is the file of the certificate that the origin proves itself with.
func (l *lab) ca() string { return filepath.Join(l.dir, "ca.pem") }

func (l *lab) env() []string {
	return []string{
		"AWS_ENDPOINT_URL=" + l.url, "AWS_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY=secret",
		"AWS_CA_BUNDLE=" + l.ca(), "CURL_CA_BUNDLE=" + l.ca(), "RCLONE_CA_CERT=" + l.ca(), "RCLONE_CONFIG=/dev/null", "RCLONE_S3_PROVIDER=Other", "RCLONE_S3_ENV_AUTH=true",
		"RCLONE_S3_ENDPOINT=" + l.url, "RCLONE_S3_REGION=us-east-1",
	}
}

// command is one whose standard error is shown.
func command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "NO_COLOR=1")
	cmd.Stderr = os.Stderr
	return cmd
}

// ext4 has an inode for every 8 KiB: trees have many small files.
var ext4 = []string{"mkfs.ext4", "-q", "-F", "-i", "8192", "-E", "lazy_itable_init=1,nodiscard"}

// mount makes a fresh filesystem of a size and returns its mount point. It is on
// a loop device that bypasses the page cache, as a volume does, where the disk
// below allows that.
func (l *lab) mount(mkfs []string, size int64) string {
	l.Helper()
	disk, image := filepath.Join(l.dir, "disk"), filepath.Join(l.images, "image")
	must(l, os.MkdirAll(disk, 0o755))
	f, err := os.Create(image)
	must(l, err)
	must(l, errors.Join(unix.Fallocate(int(f.Fd()), 0, 0, size), f.Close()))
	must(l, command(mkfs[0], append(slices.Clone(mkfs[1:]), image)...).Run())
	device, err := command("losetup", "--find", "--show", "--direct-io=on", image).Output()
	if err != nil {
		device, err = command("losetup", "--find", "--show", image).Output()
	}
	must(l, err)
	l.device = strings.TrimSpace(string(device))
	must(l, command("mount", l.device, disk).Run())
	return disk
}

func (l *lab) unmount(disk string) {
	l.Helper()
	must(l, unix.Unmount(disk, 0))
	must(l, command("losetup", "--detach", l.device).Run())
	must(l, os.Remove(filepath.Join(l.images, "image")))
}

// room is what the archive and the tree of a workload take, and some more.
func (w *workload) room() int64 { return (int64(len(w.data)) + 2*w.plain + 512<<20) >> 20 << 20 }
