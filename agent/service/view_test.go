package service

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"koboshi/agent/config"
	"koboshi/systemd"
)

// twoReleases makes a root with two trees, of which the first is current, and what
// operators may have next to them.
func twoReleases(t *testing.T, root string) (first, second string) {
	t.Helper()
	first, second = filepath.Join(root, "releases/1/tree"), filepath.Join(root, "releases/2/tree")
	for _, dir := range []string{first, second, filepath.Join(root, "shared")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{"current": "releases/1/tree", "previous": "releases/2/tree", "broken": "nowhere"} {
		if err := os.Symlink(to, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	return first, second
}

func TestViewOfAHook(t *testing.T) {
	root := t.TempDir()
	link := filepath.Join(t.TempDir(), "web")
	if err := os.Symlink(root, link); err != nil {
		t.Fatal(err)
	}
	first, second := twoReleases(t, root)
	for _, install := range []string{root, link} {
		view, err := viewOf(install, second)
		if err != nil || view.Dir != root || view.Entries["current"] != second {
			t.Fatalf("viewOf = %+v, %v", view, err)
		}
		if got := slices.Sorted(maps.Keys(view.Entries)); !slices.Equal(got, []string{"current", "previous", "releases", "shared"}) {
			t.Errorf("the hook sees %q", got)
		}
		if view, err := viewOf(install, first); view != nil || err != nil {
			t.Errorf("viewOf what is current = %+v, %v", view, err)
		}
	}
	if err := os.Remove(filepath.Join(root, "current")); err != nil {
		t.Fatal(err)
	}
	if view, err := viewOf(root, first); err != nil || view.Entries["current"] != first {
		t.Errorf("viewOf without current = %+v, %v", view, err)
	}
}

// A hook is given what the app's unit is, but never the KOBOSHI_ values of the release
// before, and its health command is given nothing.
func TestHookInherits(t *testing.T) {
	t.Setenv("LANG", "C")
	f := &fakeSystemd{run: func(systemd.Transient) error { return nil }, gives: systemd.Inherited{
		Env: []string{"A=1", "LANG=de_DE", "KOBOSHI_APP=wrong"},
	}}
	cfg := configured(t, unit+"hooks.user = \"nobody\"\n")
	f.gives.Files = []systemd.EnvironmentFile{{Path: filepath.Join(cfg.State.Run, "env")}, {Path: "/etc/web/env"}}
	_, second := twoReleases(t, cfg.Install.Root)
	s := f.service(cfg, func(Hook, string) {})
	if err := s.RunHook(t.Context(), Hook{Dir: second, Args: []string{"bin/migrate"}, Env: []string{"KOBOSHI_APP=web"}}); err != nil {
		t.Fatal(err)
	}
	if m := f.made; m.View == nil || m.View.Entries["current"] != second || !slices.Equal(m.Inherited.Files, []systemd.EnvironmentFile{{Path: "/etc/web/env"}}) {
		t.Errorf("ran %+v", m)
	}
	var env []string
	for _, v := range f.made.Env {
		if name, _, _ := strings.Cut(v, "="); name != "PATH" && name != "TZ" {
			env = append(env, v)
		}
	}
	if want := []string{"LANG=de_DE", "A=1", "KOBOSHI_APP=web"}; !slices.Equal(env, want) {
		t.Errorf("environment %q, want %q", env, want)
	}
	f.happened(t, "connect", "refresh web.service", "inherit web.service", "close")

	if err := s.ask(t.Context(), []string{"/bin/check"}); err != nil {
		t.Fatal(err)
	}
	if m := f.made; m.View != nil || len(m.Inherited.Files) > 0 || slices.Contains(m.Env, "A=1") {
		t.Errorf("the health command ran as %+v", m)
	}
}

// What the app is given is not known: the hook does not run without it.
func TestHookInheritsNothing(t *testing.T) {
	f := &fakeSystemd{err: systemd.ErrNoUnit, run: func(systemd.Transient) error { t.Error("it ran"); return nil }}
	s := f.service(configured(t, unit+"hooks.user = \"nobody\"\n"), func(Hook, string) {})
	if err := s.RunHook(t.Context(), Hook{Dir: t.TempDir(), Args: []string{"x"}}); !errors.Is(err, systemd.ErrNoUnit) {
		t.Errorf("RunHook = %v", err)
	}
	f.err, f.calls, f.run = nil, nil, func(systemd.Transient) error { return nil }
	cfg := configured(t, unit+"hooks.user = \"nobody\"\nservice.unit_file = \"web.service\"\n") // may be that of the release before
	if err := f.service(cfg, func(Hook, string) {}).RunHook(t.Context(), Hook{Dir: t.TempDir(), Args: []string{"x"}}); err != nil {
		t.Error(err)
	}
	f.happened(t, "connect", "close")
}

// Of several units the first is the app.
func TestHookInheritsFromTheFirstUnit(t *testing.T) {
	f := &fakeSystemd{run: func(systemd.Transient) error { return nil }}
	cfg := configured(t, several+"hooks.user = \"nobody\"\n")
	if err := f.service(cfg, func(Hook, string) {}).RunHook(t.Context(), Hook{Dir: t.TempDir(), Args: []string{"x"}}); err != nil {
		t.Error(err)
	}
	f.happened(t, "connect", "refresh web.service", "inherit web.service", "close")
}

func TestWithoutTheRunEnv(t *testing.T) {
	run := t.TempDir()
	link := filepath.Join(t.TempDir(), "run")
	if err := os.Symlink(run, link); err != nil {
		t.Fatal(err)
	}
	env, more := filepath.Join(run, "env"), filepath.Join(run, "envoy")
	for _, exists := range []bool{false, true} {
		for path, want := range map[string][]string{
			env: nil, filepath.Join(link, "env"): nil, "/etc/web/*": {"/etc/web/*"}, filepath.Join(run, "other"): {filepath.Join(run, "other")},
			filepath.Join(run, "env*"): {more},
		} {
			if !exists && strings.HasSuffix(path, "*") && strings.HasPrefix(path, run) {
				continue // matches nothing yet
			}
			var got []string
			for _, f := range without([]systemd.EnvironmentFile{{Path: path}}, env) {
				got = append(got, f.Path)
			}
			if !slices.Equal(got, want) {
				t.Errorf("of %s, while it exists: %t, is left %q, want %q", path, exists, got, want)
			}
		}
		for _, name := range []string{env, more} {
			if err := os.WriteFile(name, nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Without units a hook that is found through current is refused, unless it is current.
func TestHookThroughCurrentIsRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		args    []string
		text    string
		refused string // a part of the error; "" = runs
	}{
		"an interpreter":             {[]string{"bin/migrate"}, "#!ROOT/current/bin/python3\n", "bin/migrate names ROOT/current"},
		"its text":                   {[]string{"bin/migrate"}, "#!/bin/sh\nexec ROOT/current/bin/python3 manage.py\n", "bin/migrate names"},
		"cd":                         {[]string{"bin/migrate"}, "#!/bin/sh\ncd ROOT/current && exec ./manage\n", "bin/migrate names"},
		"an argument":                {[]string{"sh", "ROOT/current/bin/migrate"}, "", `"ROOT/current/bin/migrate" names`},
		"a file that is an argument": {[]string{"sh", "bin/migrate"}, "import sys; sys.path.append('ROOT/current/lib')", "bin/migrate names"},
		"through a link":             {[]string{"link"}, "#!LINK/current/bin/python3\n", "link names LINK/current"},

		"one that finds itself":        {[]string{"bin/migrate"}, "#!/bin/sh\ncd \"$(dirname \"$0\")\"\n", ""},
		"another name":                 {[]string{"bin/migrate"}, "#!/bin/sh\nls ROOT/current-2 ROOT/currently\n", ""},
		"a program is not looked into": {[]string{"bin/migrate"}, "\x7fELF ROOT/current/etc", ""},
		"nor what is outside":          {[]string{"sh", "../../../outside"}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			root, link := t.TempDir(), filepath.Join(t.TempDir(), "web")
			if err := os.Symlink(root, link); err != nil {
				t.Fatal(err)
			}
			places := strings.NewReplacer("ROOT", root, "LINK", link)
			first, second := twoReleases(t, root)
			for _, tree := range []string{first, second} {
				if err := errors.Join(os.Mkdir(filepath.Join(tree, "bin"), 0o755), os.Symlink("bin/migrate", filepath.Join(tree, "link")),
					os.WriteFile(filepath.Join(tree, "bin/migrate"), []byte(places.Replace(tt.text)), 0o755),
					os.WriteFile(filepath.Join(root, "outside"), []byte(root+"/current/x"), 0o644)); err != nil {
					t.Fatal(err)
				}
			}
			var args []string
			for _, a := range tt.args {
				args = append(args, places.Replace(a))
			}
			err := checkCurrent(link, second, args)
			if refused := tt.refused != ""; (err != nil) != refused || refused && !strings.Contains(err.Error(), places.Replace(tt.refused)) {
				t.Errorf("checkCurrent = %v, want %q", err, tt.refused)
			}
			if err := checkCurrent(link, first, args); err != nil {
				t.Errorf("of what is current: %v", err)
			}
		})
	}
}

// It is the command backend that refuses, before anything runs.
func TestCommandRefusesAHookThroughCurrent(t *testing.T) {
	cfg := commandedAs(t)
	tree := t.TempDir()
	script := "#!/bin/sh\ntouch ran; exec " + filepath.Join(cfg.Install.Root, "current/bin/migrate") + "\n"
	if err := os.WriteFile(filepath.Join(tree, "hook"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	err := New(cfg, func(Hook, string) {}).RunHook(t.Context(), Hook{Dir: tree, Args: []string{"hook"}})
	if _, ok := errors.AsType[throughCurrent](err); !ok {
		t.Errorf("RunHook = %v", err)
	}
	if _, err := os.Stat(filepath.Join(tree, "ran")); err == nil {
		t.Error("it ran")
	}
}

func commandedAs(t *testing.T) *config.Config {
	t.Helper()
	return configured(t, "service.restart = [\"true\"]\nhooks.user = \"root\"\n")
}
