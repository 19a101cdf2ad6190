//go:build bench

package bench

import (
	"crypto/sha256"
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"koboshi/agent/awstest"
	"koboshi/agent/awstest/autoscaling"
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
	memory string // what a machine has in /run
	images string // where disks are made
	device string // of the one that is mounted
	slow   bool   // there is a gp3-shaped one
	port   int    // of the app that answers
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
	l.memory, err = os.MkdirTemp("/dev/shm", "koboshi-bench-")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(l.memory) })
	l.aws.S3().CreateBucket("bench")
	must(t, l.aws.CreateGroup(autoscaling.Group{Name: "bench", Hooks: []autoscaling.Hook{{Name: "koboshi-launching", Transition: autoscaling.OnLaunch}}}))
	l.port, err = freePort()
	must(t, err)
	l.slow = l.shapes()
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

// publish releases the file or directory at path as version 1 of an app, and of a
// directory the images of these kinds.
func (l *lab) publish(app, path, input, format string, kinds ...string) *workload {
	l.Helper()
	l.release(app, path, pick(kinds, builtIn)...)
	w := &workload{input: input, format: format, app: app}
	w.key, w.data = l.object(app, strings.TrimPrefix(format, "file"))
	w.sha256 = fmt.Sprintf("%x", sha256.Sum256(w.data))
	var err error
	w.files, w.plain, err = count(path)
	must(l, err)
	for _, kind := range kinds {
		if kind == builtIn {
			w.images = append(w.images, image{kind, app})
		} else if other := app + "-" + kind; l.byTool(other, path, kind) {
			w.images = append(w.images, image{kind, other})
		}
	}
	return w
}

// builtIn is the kind of image that koboshi makes without another program.
const builtIn = "erofs"

// pick is --image for those of kinds that are wanted.
func pick(kinds []string, want string) (args []string) {
	if slices.Contains(kinds, want) {
		args = []string{"--image", want}
	}
	return args
}

// byTool releases an image that another program makes, which takes long: its file is
// kept from run to run. It reports whether there is one.
func (l *lab) byTool(app, path, kind string) bool {
	l.Helper()
	ext := kind
	if kind != "squashfs" {
		ext = "erofs"
	}
	name := filepath.Join(l.out, "inputs", app+"-"+runtime.Version()+"."+ext)
	if _, err := os.Stat(name); err == nil {
		l.release(app, "", "--platform", "linux/amd64="+name)
		return true
	}
	if err := l.tryRelease(app, path, "--image", kind); err != nil {
		fmt.Println("no image:", kind)
		return false
	}
	_, data := l.object(app, kind)
	l.keep(name, func(temp string) error { return os.WriteFile(temp, data, 0o644) })
	return true
}

func (l *lab) release(app, path string, args ...string) {
	l.Helper()
	must(l, l.tryRelease(app, path, args...))
}

func (l *lab) tryRelease(app, path string, args ...string) error {
	l.shape(fast)
	fmt.Println("publishing", app)
	if path != "" {
		args = append(args, path)
	}
	where := []string{"--source", "s3://bench/apps", "--app", app, "--version", "1", "--key", filepath.Join(l.dir, "release.key")}
	if err := l.tryTool(append(append([]string{"publish"}, args...), where...)...); err != nil {
		return err
	}
	return l.tryTool(append([]string{"promote", "--channel", "stable"}, where...)...)
}

// object is the artifact of an app whose key ends so.
func (l *lab) object(app, ext string) (key string, data []byte) {
	for _, k := range l.aws.S3().Keys("bench") {
		if !strings.HasPrefix(k, "apps/"+app+"/releases/1/"+app+"-") || !strings.HasSuffix(k, ext) {
			continue
		}
		if d, ok := l.aws.S3().Object("bench", k); len(d) > len(data) && ok {
			key, data = k, d // not the index, which is smaller
		}
	}
	return key, data
}

// tool runs a command of koboshi's release side.
func (l *lab) tool(args ...string) {
	l.Helper()
	must(l, l.tryTool(args...))
}

func (l *lab) tryTool(args ...string) error {
	cmd := command(l.binary, args...)
	cmd.Env = append(cmd.Env, l.env()...)
	return cmd.Run()
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

// room is what the archive and the tree of a workload take, and some more.
func (w *workload) room() int64 { return (int64(len(w.data)) + 2*w.plain + 512<<20) >> 20 << 20 }
