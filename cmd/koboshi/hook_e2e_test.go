//go:build e2e

package main

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"koboshi/agent/config"
	"koboshi/agent/service"
)

// asHookUser runs a hook where there is no systemd, for a koboshi that is root.
func asHookUser(t *testing.T, name, script string) (told string, err error) {
	t.Helper()
	cfg, err := config.Parse(config.File{Name: "koboshi.toml", Data: fmt.Appendf(nil, `app = "web"
source = "s3://releases/apps"
trust.keys = ["/release.pub"]
service.restart = ["restart"]
health.tcp = "127.0.0.1:1"
hooks.user = %q
`, name)})
	must(t, err)
	tree := t.TempDir()
	must(t, os.WriteFile(filepath.Join(tree, "hook"), []byte("#!/bin/sh\n"+script), 0o755))
	for _, path := range []string{filepath.Dir(tree), tree, filepath.Join(tree, "hook")} {
		must(t, os.Chmod(path, 0o755)) // others may not enter it, or by the umask
	}
	var out strings.Builder
	err = service.New(cfg, newUI(&out, &out).hookLine).RunHook(t.Context(), service.Hook{Name: "pre_start", Version: "1", Dir: tree, Args: []string{"hook"}, Env: []string{"KOBOSHI_APP=web"}})
	return out.String(), err
}

// A hook has the user, the groups and the home of hooks.user, and nothing more.
func TestE2EHookUser(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	for _, name := range []string{"nobody", "daemon"} {
		u, err := user.Lookup(name)
		must(t, err)
		groups, err := u.GroupIds()
		must(t, err)
		told, err := asHookUser(t, name, `echo "$(id -u) $(id -g) $(id -G) $HOME $USER $KOBOSHI_APP $AWS_SECRET_ACCESS_KEY."; touch mine || exit 3`)
		if want := fmt.Sprintf("pre_start: %s %s %s %s %s web .\n", u.Uid, u.Gid, strings.Join(groups, " "), u.HomeDir, name); !strings.Contains(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
		if err == nil || !strings.Contains(err.Error(), "exit status 3: touch: ") || !strings.Contains(err.Error(), "ermission denied") {
			t.Errorf("the tree was written to: %v", err)
		}
	}
}

// Root does not run a hook without hooks.user, nor with a user that does not exist.
func TestE2EHookWithoutUser(t *testing.T) {
	for name, want := range map[string]error{"": service.ErrNoUser, "no-such-user": user.UnknownUserError("no-such-user")} {
		told, err := asHookUser(t, name, "echo I am here")
		if !errors.Is(err, want) || told != "" {
			t.Errorf("%q: %v, told %q", name, err, told)
		}
	}
	if told, err := asHookUser(t, "root", "id -u"); err != nil || told != "koboshi: pre_start: 0\n" {
		t.Errorf("as root, as it was asked: %v, told %q", err, told)
	}
}
