//go:build e2e

package main

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"koboshi/agent/awstest"
	"koboshi/agent/awstest/loopback"
	"koboshi/artifacts/pace"
	"koboshi/cmd/koboshi/help"
)

// secretServers are what speaks to Parameter Store's and Secrets Manager's clients:
// the mock, and moto where that is installed.
func secretServers(t *testing.T) map[string]string {
	t.Helper()
	servers := map[string]string{"mock": awstest.New(t).URL()}
	moto, err := exec.LookPath("moto_server")
	if err != nil {
		t.Log("moto is not installed here: only the mock is asked")
		return servers
	}
	address := loopback.Address()
	host, port, err := net.SplitHostPort(address)
	must(t, err)
	cmd := exec.CommandContext(t.Context(), moto, "-H", host, "-p", port)
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	servers["moto"] = "http://" + address
	for range 600 {
		answer, err := http.Get(servers["moto"] + "/moto-api/")
		if err == nil {
			_ = answer.Body.Close()
			return servers
		}
		must(t, pace.Sleep(t.Context(), 100*time.Millisecond))
	}
	t.Fatal("moto does not answer")
	return nil
}

// The recipe of the topic apps gets the secrets that it put there, by the real AWS CLI.
func TestE2ESecretsRecipe(t *testing.T) {
	topic, _ := help.Find("apps")
	_, recipe, _ := strings.Cut(topic.Text, "\n## Secrets from ")
	recipe, _, _ = strings.Cut(recipe, "\n## ")
	put := regexp.MustCompile(`(?m)^aws .*$`).FindAllString(recipe, -1)
	get := regexp.MustCompile(`(?m)^ExecStart=/bin/sh -euc '(.*)'$`).FindAllStringSubmatch(recipe, -1)
	if len(put) != 2 || len(get) != 2 {
		t.Fatalf("the recipe puts by %q and gets by %q", put, get)
	}
	for name, url := range secretServers(t) {
		t.Run(name, func(t *testing.T) {
			dir, run := t.TempDir(), t.TempDir()
			must(t, os.WriteFile(filepath.Join(dir, "aws"), []byte("#!/bin/sh\nexec /usr/bin/aws --endpoint-url "+url+" \"$@\"\n"), 0o755))
			env := []string{"PATH=" + dir + ":/usr/bin:/bin", "HOME=" + dir, "AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=lab", "AWS_SECRET_ACCESS_KEY=lab"}
			sh := func(line string) error {
				cmd := exec.CommandContext(t.Context(), "/bin/sh", "-euc", "umask 077; "+line)
				cmd.Dir, cmd.Env = run, env
				out, err := cmd.CombinedOutput()
				t.Logf("$ %s\n%s", line, out)
				return err
			}
			for _, line := range get {
				if sh(line[1]) == nil {
					t.Errorf("there is nothing yet, and %s succeeds", line[1])
				}
			}
			for _, line := range put {
				must(t, sh(line))
			}
			for _, line := range get {
				must(t, sh(line[1]))
			}
			for file, want := range map[string]string{"database-url": "postgres://web:hunter2@db.internal/web\n", "api-key": "hunter3\n"} {
				text, err := os.ReadFile(filepath.Join(run, file))
				must(t, err)
				if string(text) != want {
					t.Errorf("%s has %q, want %q", file, text, want)
				}
				info, err := os.Stat(filepath.Join(run, file))
				must(t, err)
				if info.Mode().Perm() != 0o600 {
					t.Errorf("%s has mode %v", file, info.Mode())
				}
			}
		})
	}
}
