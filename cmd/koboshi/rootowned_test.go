package main

import (
	"encoding/pem"
	"errors"
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"koboshi/agent/failure"
	"koboshi/artifacts"
)

// owned is the result of stat for a file.
type owned struct {
	fs.FileInfo
	mode     fs.FileMode
	uid, gid uint32
}

func (o owned) Mode() fs.FileMode  { return o.mode }
func (o owned) IsDir() bool        { return o.mode.IsDir() }
func (o owned) ModTime() time.Time { return time.Time{} }
func (o owned) Sys() any           { return &syscall.Stat_t{Uid: o.uid, Gid: o.gid} }

func TestCheckRootOwned(t *testing.T) {
	const file = "/etc/koboshi/keys/release.pub"
	for name, tt := range map[string]struct {
		path string
		owned
		want string
	}{
		"root's":                    {},
		"another's file":            {path: file, owned: owned{mode: 0o644, uid: 1000}, want: "is owned by user 1000"},
		"a file for all to write":   {path: file, owned: owned{mode: 0o666}, want: "may be written by every user (0666)"},
		"a file of a group":         {path: file, owned: owned{mode: 0o664, gid: 100}, want: "may be written by group 100 (0664)"},
		"a file of root's group":    {path: file, owned: owned{mode: 0o664}},
		"another's directory":       {path: "/etc/koboshi", owned: owned{mode: fs.ModeDir | 0o755, uid: 33}, want: "is owned by user 33"},
		"another's, sticky":         {path: "/etc/koboshi", owned: owned{mode: fs.ModeDir | fs.ModeSticky | 0o777, uid: 33}, want: "is owned by user 33"},
		"a directory for all":       {path: "/etc", owned: owned{mode: fs.ModeDir | 0o777}, want: "may be written by every user (0777)"},
		"a sticky directory (/tmp)": {path: "/etc", owned: owned{mode: fs.ModeDir | fs.ModeSticky | 0o777}},
	} {
		t.Run(name, func(t *testing.T) {
			err := checkRootOwned(file, func(path string) (fs.FileInfo, error) {
				switch path {
				case tt.path:
					return tt.owned, nil
				case file:
					return owned{mode: 0o644}, nil
				}
				return owned{mode: fs.ModeDir | 0o755}, nil
			})
			switch {
			case tt.want == "":
				if err != nil {
					t.Error(err)
				}
			case err == nil || !strings.HasPrefix(err.Error(), file+": "+tt.path+" "+tt.want) || failure.CodeOf(err) != failure.Configuration:
				t.Errorf("%v, want %q", err, tt.want)
			case !strings.Contains(failure.Explain(err).Hint, "chown root:root "+tt.path):
				t.Errorf("hint %q", failure.Explain(err).Hint)
			}
		})
	}
}

// A link is followed: the directories of its target are checked, too.
func TestCheckRootOwnedFollowsLinks(t *testing.T) {
	dir := t.TempDir()
	real, link := filepath.Join(dir, "real", "release.pub"), filepath.Join(dir, "release.pub")
	if err := errors.Join(os.Mkdir(filepath.Dir(real), 0o755), os.WriteFile(real, nil, 0o644), os.Symlink(real, link)); err != nil {
		t.Fatal(err)
	}
	err := checkRootOwned(link, func(path string) (fs.FileInfo, error) {
		if path == filepath.Dir(real) {
			return owned{mode: fs.ModeDir | 0o777}, nil
		}
		return owned{mode: 0o644}, nil
	})
	if err == nil || !strings.Contains(err.Error(), filepath.Dir(real)+" may be written") {
		t.Errorf("%v, want the directory of the file", err)
	}
}

// Only root refuses such files, of every kind; other users may read them.
func TestDecidingFiles(t *testing.T) {
	for _, name := range []string{"koboshi.toml", "koboshi.d/a.toml", "release.pub", "ca.pem", "environment"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			key, err := artifacts.GenerateKey()
			if err != nil {
				t.Fatal(err)
			}
			public, err := key.Public().MarshalPEM()
			if err != nil {
				t.Fatal(err)
			}
			server := httptest.NewTLSServer(nil)
			defer server.Close()
			certificate := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
			config := "app = \"web\"\nsource = \"s3://r/apps\"\nservice.unit = \"web.service\"\nhealth.url = \"https://127.0.0.1\"\nhealth.ca = \"" + dir + "/ca.pem\"\ntrust.keys = [\"" + dir + "/release.pub\"]\n"
			for file, text := range map[string]string{"koboshi.toml": config, "koboshi.d/a.toml": "channel = \"stable\"\n", "release.pub": string(public), "ca.pem": certificate, "environment": "A=1\n"} {
				path := filepath.Join(dir, file)
				if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
					t.Fatal(err)
				}
			}
			c := &cli{configFile: filepath.Join(dir, "koboshi.toml")}
			load := func() error {
				cfg, err := c.loadConfig()
				if err == nil {
					_, err = loadTrust(cfg)
				}
				return err
			}
			t.Setenv("A", "")
			if err := load(); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(filepath.Join(dir, name), 0o666); err != nil {
				t.Fatal(err)
			}
			err = load()
			refused := err != nil && failure.CodeOf(err) == failure.Configuration && strings.Contains(err.Error(), name+" may be written by every user")
			if want := os.Geteuid() == 0; refused != want {
				t.Errorf("%v; refused is to be %v", err, want)
			}
		})
	}
}
