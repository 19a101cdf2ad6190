package lint

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"koboshi/artifacts/tree"
)

// sketch is a tree by hand: contents by path, and what else a file is.
type sketch struct {
	contents map[string]string
	files    []File
}

func (s *sketch) add(f File, contents string) {
	if s.contents == nil {
		s.contents = map[string]string{}
	}
	f.Size = int64(len(contents))
	s.contents[f.Path] = contents
	s.files = append(s.files, f)
}

func (s *sketch) file(path string, was fs.FileMode, contents string) {
	s.add(File{Entry: tree.Entry{Path: path, Type: tree.TypeFile, Mode: tree.FileMode(was.Perm())}, Was: was}, contents)
}

func (s *sketch) dir(path string) {
	s.files = append(s.files, File{Entry: tree.Entry{Path: path, Type: tree.TypeDir, Mode: tree.DirMode}, Was: fs.ModeDir | 0o755})
}

func (s *sketch) link(path, target string) {
	s.files = append(s.files, File{Entry: tree.Entry{Path: path, Type: tree.TypeSymlink, Link: target}, Was: fs.ModeSymlink | 0o777})
}

func (s *sketch) check(t *testing.T, built string) []Finding {
	t.Helper()
	findings, err := Check(t.Context(), Tree{Built: built, Files: s.files, Head: func(i int, buf []byte) (int, error) {
		return copy(buf, s.contents[s.files[i].Path]), nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		if f.Hint == "" || f.Text == "" || order(f.Check) < 0 {
			t.Errorf("incomplete: %+v", f)
		}
	}
	return findings
}

// Each check finds what it is for, next to something that is right.
func TestChecks(t *testing.T) {
	const built = "/home/ci/web"
	for _, test := range []struct {
		name string
		make func(s *sketch)
		want []string // "check path: part of text or hint"
	}{
		{"links of all kinds", func(s *sketch) {
			s.dir("log")
			s.link("abs", "/var/shared/log")
			s.link("in", "/home/ci/web/log")
			s.link("ok", "log")
			s.link("out", "../x")
			s.link("python3", "/usr/bin/python3.11")
		}, []string{"link abs: BindPaths=/var/shared/log:<root>/current/abs", "link in: make it relative, to log", "link python3: --copies", "link out: relative"}},
		{"special files", func(s *sketch) {
			s.files = append(s.files,
				File{Entry: tree.Entry{Path: "fifo"}, Was: fs.ModeNamedPipe}, File{Entry: tree.Entry{Path: "null"}, Was: fs.ModeDevice | fs.ModeCharDevice},
				File{Entry: tree.Entry{Path: "sda"}, Was: fs.ModeDevice}, File{Entry: tree.Entry{Path: "sock"}, Was: fs.ModeSocket})
		}, []string{"special fifo: a FIFO", "special null: a character device", "special sda: a block device", "special sock: a socket"}},
		{"names", func(s *sketch) { s.file("a\xff", 0o644, ""); s.file("ok", 0o644, "") }, []string{"name a\xff: UTF-8"}},
		{"setuid", func(s *sketch) { s.file("su", 0o755|fs.ModeSetuid, "x"); s.file("ok", 0o755, "x") }, []string{"setuid su: AmbientCapabilities="}},
		{"unreadable", func(s *sketch) {
			s.add(File{Entry: tree.Entry{Path: "f", Type: tree.TypeFile, Mode: 0o644}, Was: 0o644, Unreadable: "denied"}, "")
			s.file("ok", 0o644, "")
		}, []string{"unreadable f: denied"}},
		{"modes", func(s *sketch) {
			s.file("run", 0o700, "")
			s.file("secret", 0o600, "")
			s.file("ok", 0o644, "")
			s.file("group", 0o664, "")
			s.file("odd", 0o654, "")
		}, []string{"mode run: will have 0755", "mode secret: will have 0644", "mode odd: only root may execute"}},
		{"attributes", func(s *sketch) {
			s.add(File{Entry: tree.Entry{Path: "f", Type: tree.TypeFile, Mode: 0o644}, Was: 0o644,
				Attributes: []string{"security.selinux", "security.capability", "system.posix_acl_access", "user.note"}}, "")
			s.file("ok", 0o644, "")
		}, []string{"capability f: CAP_NET_BIND_SERVICE", "attribute f: ACL", `attribute f: "user.note"`}},
		{"sparse", func(s *sketch) {
			s.add(File{Entry: tree.Entry{Path: "f", Type: tree.TypeFile, Mode: 0o644}, Was: 0o644, Sparse: true}, "12345")
			s.file("ok", 0o644, "")
		}, []string{"sparse f: 5 bytes"}},
		{"interpreters", func(s *sketch) {
			s.file("a", 0o755, "#!/home/ci/web/venv/bin/python\n")
			s.file("b", 0o755, "#!/builds/acme/venv/bin/python\n")
			s.file("c", 0o755, "#!/opt/koboshi/web/current/bin/python\n")
			s.file("d", 0o755, "#!/bin/sh\r\necho\r\n")
			s.file("e", 0o755, "#!/bin/sh\n'''exec' \"/home/ci/web/a long way/python\" \"$0\"\n")
			s.file("ok1", 0o755, "#!/usr/bin/env python3\n")
			s.file("ok2", 0o755, "#! /bin/sh -e\ncd /home/ci/website\n")
			s.file("ok3", 0o644, "#!/home/ci/web/venv/bin/python\n")
		}, []string{"interpreter a: /home/ci/web/venv/bin/python", "interpreter b: /builds/acme", "interpreter e: /home/ci/web/a", "interpreter c: instances without systemd", "interpreter d: sed"}},
		{"paths in scripts", func(s *sketch) {
			s.file("a", 0o755, "#!/bin/sh\n"+strings.Repeat("#\n", 1000)+"cd \"/home/ci/web\"\n")
			s.file("b", 0o755, "#!/bin/sh\nexec /home/ci/web/bin/x\n")
			s.file("ok", 0o755, "\x7fELF /home/ci/web/bin/x\n")
		}, []string{"build-path a: /home/ci/web", "build-path b: /home/ci/web"}},
		{"compiled Python", func(s *sketch) {
			s.dir("__pycache__")
			s.file("a.py", 0o644, "x")
			s.file("__pycache__/a.cpython-311.pyc", 0o644, "magi\x00\x00\x00\x00timesize")
			s.file("__pycache__/b.cpython-311.pyc", 0o644, "magi\x00\x00\x00\x00timesize")
			s.file("c.py", 0o644, "x")
			s.file("__pycache__/c.cpython-311.pyc", 0o644, "magi\x01\x00\x00\x00hashhash")
		}, []string{"stale-pyc __pycache__/a.cpython-311.pyc: unchecked-hash"}},
		{"secrets", func(s *sketch) {
			s.dir(".aws")
			for _, name := range []string{".env", ".env.production", ".env.example", ".aws/credentials", "credentials", "cert.p12", "master.key"} {
				s.file(name, 0o644, "x")
			}
			s.file("ca.pem", 0o644, "-----BEGIN CERTIFICATE-----\n")
			s.file("id_ed25519", 0o644, "-----BEGIN OPENSSH PRIVATE KEY-----\n")
			s.file("tls.key", 0o644, strings.Repeat("#\n", 1000)+"-----BEGIN PRIVATE KEY-----\n")
		}, []string{"secret .env: secrets", "secret .env.production: secrets", "secret .aws/credentials: secrets", "secret cert.p12: secrets", "secret master.key: secrets",
			"secret id_ed25519: private key", "secret tls.key: private key"}},
		{"version control", func(s *sketch) { s.dir(".git"); s.file(".gitignore", 0o644, "") }, []string{"vcs .git: history"}},
		{"a folder on top", func(s *sketch) { s.dir("web-1.2"); s.file("web-1.2/a", 0o644, "") }, []string{"top-folder web-1.2: current/web-1.2"}},
		{"one directory and a file", func(s *sketch) { s.dir("web"); s.file("web/a", 0o644, ""); s.file("web.conf", 0o644, "") }, nil},
		{"nothing", func(*sketch) {}, []string{"empty : nothing"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var s sketch
			test.make(&s)
			findings := s.check(t, built)
			for i, want := range test.want {
				at, part, _ := strings.Cut(want, ": ")
				if i >= len(findings) || findings[i].Check+" "+findings[i].Path != at || !strings.Contains(findings[i].Text+findings[i].Hint, part) {
					t.Fatalf("no. %d: want %q in %+v", i, want, findings)
				}
			}
			if len(findings) > len(test.want) {
				t.Errorf("%d too many: %+v", len(findings)-len(test.want), findings)
			}
		})
	}
}

// Where it is built at the path that it will have, its paths are right.
func TestBuiltInPlace(t *testing.T) {
	var s sketch
	s.file("a", 0o755, "#!/bin/sh\ncd /opt/koboshi/web/current\n")
	s.file("b", 0o644, "")
	if findings := s.check(t, "/opt/koboshi/web/current"); len(findings) > 0 {
		t.Errorf("found %+v", findings)
	}
}

func TestRefused(t *testing.T) {
	warning, fault := Finding{Level: Warning}, Finding{Level: Error, Path: "x", Text: "a FIFO"}
	if err := Refused([]Finding{warning}); err != nil {
		t.Errorf("a warning: %v", err)
	}
	err := Refused([]Finding{fault, warning, fault, fault})
	if !errors.Is(err, tree.ErrRefused) || !strings.HasSuffix(err.Error(), `"x": a FIFO, and 2 more`) {
		t.Errorf("three errors: %v", err)
	}
}

func TestErrorsEndTheCheck(t *testing.T) {
	var s sketch
	s.file("a", 0o755, "x")
	broken := errors.New("broken")
	read := func(int, []byte) (int, error) { return 0, broken }
	if _, err := Check(t.Context(), Tree{Files: s.files, Head: read}); !errors.Is(err, broken) {
		t.Errorf("reading failed: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Check(ctx, Tree{Files: s.files, Head: read}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// The names of the checks are an interface.
func TestNames(t *testing.T) {
	names := Names()
	if sorted := slices.Sorted(slices.Values(names)); len(slices.Compact(sorted)) != len(names) {
		t.Errorf("one comes twice: %v", names)
	}
	if text := fmt.Sprint(names); !strings.Contains(text, "empty appspec name link special") {
		t.Errorf("the order of reports is %s", text)
	}
}

// With the times of the tree, compiled Python is right where it was compiled last.
func TestCompiledPythonWithTimes(t *testing.T) {
	var s sketch
	s.dir("__pycache__")
	for _, name := range []string{"right", "touched", "longer"} {
		s.add(File{Entry: tree.Entry{Path: name + ".py", Type: tree.TypeFile, Mode: 0o644, Time: 0x64636261}, Was: 0o644}, "four")
		s.file("__pycache__/"+name+".cpython-311.pyc", 0o644, "magi\x00\x00\x00\x00abcd\x04\x00\x00\x00code")
	}
	s.files[3].Time++
	s.files[5].Size++
	findings, err := Check(t.Context(), Tree{KeepTimes: true, Files: s.files, Head: func(i int, buf []byte) (int, error) {
		return copy(buf, s.contents[s.files[i].Path]), nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	var stale []string
	for _, f := range findings {
		if f.Check != "stale-pyc" || !strings.Contains(f.Hint, "after the last change") {
			t.Errorf("%+v", f)
		}
		stale = append(stale, f.Path)
	}
	if want := []string{"__pycache__/touched.cpython-311.pyc", "__pycache__/longer.cpython-311.pyc"}; !slices.Equal(stale, want) {
		t.Errorf("stale: %q, want %q", stale, want)
	}
}
