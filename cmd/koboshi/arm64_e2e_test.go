//go:build e2e

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"koboshi/agent/awstest/autoscaling"
)

// The binary for arm64, emulated, brings an instance into service with the tree
// for its own platform.
func TestE2EARM64(t *testing.T) {
	l := newLab(t)
	l.publisher("publish", "--version", "1.0.0", "--platform", "linux/arm64="+l.tree("1.0.0", 1<<20), "--platform", "linux/amd64="+l.tree("another", 0))
	l.promote("1.0.0")
	l.koboshi = emulated(t)
	if r := runCommand(t, l.dir, nil, l.koboshi, "version"); r.code != 0 || !strings.HasSuffix(strings.TrimSpace(r.output), " linux/arm64") {
		t.Errorf("version: exit %d, %s", r.code, r.output)
	}
	b := l.launch(autoscaling.LaunchOptions{})
	b.exits(0, "boot")
	b.told("CONTINUE")
	b.serves("1.0.0")
	b.verifies("1.0.0")
}

// emulated is koboshi for arm64, as a program for this machine.
func emulated(t *testing.T) string {
	t.Helper()
	emulator := needs(t, "qemu-aarch64-static", "qemu-user-static")
	binary := filepath.Join(t.TempDir(), "koboshi-arm64")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH=arm64")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, output)
	}
	script := filepath.Join(filepath.Dir(binary), "koboshi")
	must(t, os.WriteFile(script, fmt.Appendf(nil, "#!/bin/sh\nexec %q %q \"$@\"\n", emulator, binary), 0o755))
	return script
}
