//go:build e2e

package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// shop is a release side with two versions, of which the channel points to the second.
func (g *guarded) shop() {
	g.Helper()
	for _, v := range []string{"1.0", "2.0"} {
		must(g.T, os.WriteFile(filepath.Join(g.dir, v), []byte(v), 0o755))
	}
	g.koboshi(0, "keygen", "--out", "k")
	for _, v := range []string{"1.0", "2.0"} {
		g.koboshi(0, "publish", "--source", "s3://releases/apps", "--app", "web", "--version", v, "--key", "k.key", v)
	}
	g.koboshi(0, "promote", "--source", "s3://releases/apps", "--app", "web", "--channel", "stable", "--version", "2.0", "--key", "k.key")
}

// koboshi runs a command that has to end with a code.
func (g *guarded) koboshi(code int, args ...string) string {
	g.Helper()
	ctx, cancel := context.WithTimeout(g.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "koboshi", args...)
	cmd.Dir, cmd.Env = g.dir, g.env
	out, err := cmd.CombinedOutput()
	exit, _ := errors.AsType[*exec.ExitError](err)
	if got := cmd.ProcessState.ExitCode(); got != code || err != nil && exit == nil {
		g.Fatalf("koboshi %s: %v, want %d:\n%s", strings.Join(args, " "), err, code, out)
	}
	return string(out)
}

func pruneArgs() []string {
	return []string{"releases", "prune", "--source", "s3://releases/apps", "--app", "web", "--keep", "0", "--min-age", "0s", "--yes"}
}

// TestE2EPruneKilled kills koboshi releases prune with SIGKILL before and after each of
// its requests, while it marks and while it sweeps. The next one goes on.
func TestE2EPruneKilled(t *testing.T) {
	kill := func(sweeps bool, at int, after bool) (calls int, good bool) {
		g := newGuarded(t)
		g.shop()
		if sweeps {
			g.koboshi(0, pruneArgs()...)
			g.pass(25 * time.Hour)
		}
		calls, killed := killedAt(t, g.aws.URL(), at, after, func(endpoint string) *exec.Cmd {
			cmd := exec.CommandContext(t.Context(), "koboshi", pruneArgs()...)
			cmd.Dir, cmd.Env = g.dir, append(slices.Clone(g.env), "AWS_ENDPOINT_URL="+endpoint)
			return cmd
		})
		if at == 0 {
			return calls, true
		}
		if !killed {
			t.Errorf("call %d, after %v: it was not killed", at, after)
		}
		g.koboshi(0, pruneArgs()...)
		g.pass(25 * time.Hour)
		g.koboshi(0, pruneArgs()...)
		g.koboshi(14, "publish", "--source", "s3://releases/apps", "--app", "web", "--version", "1.0", "--key", "k.key", "1.0")
		g.koboshi(0, "promote", "--source", "s3://releases/apps", "--app", "web", "--channel", "stable", "--version", "2.0", "--key", "k.key")
		var left []string
		for _, key := range g.aws.S3().Keys("releases") {
			if strings.HasPrefix(key, "apps/web/releases/1.0/") || strings.Contains(key, "probe-") {
				left = append(left, key)
			}
		}
		if good = slices.Equal(left, []string{"apps/web/releases/1.0/retired.json"}); !good {
			t.Errorf("sweeps %v, call %d, after %v: left %q", sweeps, at, after, left)
		}
		return 0, good
	}
	good, all := 0, 0
	for _, sweeps := range []bool{false, true} {
		calls, _ := kill(sweeps, 0, false)
		for at := 1; at <= calls; at++ {
			for _, after := range []bool{false, true} {
				all++
				if _, ok := kill(sweeps, at, after); ok {
					good++
				}
			}
		}
	}
	t.Logf("gone on with after SIGKILL: %d of %d", good, all)
	if all < 40 {
		t.Errorf("%d kills", all)
	}
}

// TestE2EPruneVersioned removes a release from a bucket with versioning, of a real server:
// versitygw, which goes by the time of a file.
func TestE2EPruneVersioned(t *testing.T) {
	addr, dir := startGateway(t, "--versioning-dir", t.TempDir())
	g := &guarded{T: t, dir: t.TempDir()}
	g.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + g.dir, "GORACE=atexit_sleep_ms=0", "AWS_ENDPOINT_URL=http://" + addr,
		"AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=user", "AWS_SECRET_ACCESS_KEY=password", "AWS_EC2_METADATA_DISABLED=true",
	}
	aws := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "aws", append([]string{"s3api"}, args...)...)
		cmd.Env = g.env
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("aws s3api %s: %v: %s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	aws("put-bucket-versioning", "--bucket", "releases", "--versioning-configuration", "Status=Enabled")
	g.shop()
	g.koboshi(0, pruneArgs()...)
	g.koboshi(14, "promote", "--source", "s3://releases/apps", "--app", "web", "--channel", "stable", "--version", "1.0", "--key", "k.key")
	g.koboshi(0, "releases", "keep", "1.0", "--source", "s3://releases/apps", "--app", "web")
	g.koboshi(0, "releases", "keep", "1.0", "--undo", "--source", "s3://releases/apps", "--app", "web")
	g.koboshi(0, pruneArgs()...)
	mark := filepath.Join(dir, "apps/web/releases/1.0/retired.json")
	old := time.Now().Add(-25 * time.Hour)
	must(t, os.Chtimes(mark, old, old))
	if said := g.koboshi(0, pruneArgs()...); !strings.Contains(said, "1 removed") {
		t.Errorf("it was not removed: %s", said)
	}
	g.koboshi(14, "publish", "--source", "s3://releases/apps", "--app", "web", "--version", "1.0", "--key", "k.key", "2.0")
	g.koboshi(0, "promote", "--source", "s3://releases/apps", "--app", "web", "--channel", "stable", "--version", "2.0", "--key", "k.key")
	if said := g.koboshi(0, "releases", "--source", "s3://releases/apps", "--app", "web"); !strings.Contains(said, "removed") {
		t.Errorf("it is not listed as removed: %s", said)
	}
	// What was deleted is behind delete markers, and can be brought back.
	markers := strings.Fields(aws("list-object-versions", "--bucket", "releases", "--prefix", "apps/web/releases/1.0/", "--query", "DeleteMarkers[?IsLatest].[Key]", "--output", "text"))
	kept := strings.Fields(aws("list-object-versions", "--bucket", "releases", "--prefix", "apps/web/releases/1.0/web-", "--query", "Versions[].[Key]", "--output", "text"))
	if len(markers) != 2 || len(kept) != 1 { // artifact and manifest; the artifact
		t.Errorf("delete markers %q, versions %q", markers, kept)
	}
}
