package mounts

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Where there is SELinux an image has the label of its mount point, whether it is
// enforcing or not; elsewhere the kernel would refuse the option.
func TestLabelOfAnImage(t *testing.T) {
	const label = "system_u:object_r:usr_t:s0:c1,c2"
	broken := errors.New("broken")
	for name, test := range map[string]struct {
		enforce string // "" = no SELinux
		label   string
		err     error
		want    string // "" = no option
		fails   string
	}{
		"no SELinux":           {"", label, nil, "", ""},
		"enforcing":            {"1", label, nil, `context="` + label + `"`, ""},
		"permissive":           {"0", label, nil, `context="` + label + `"`, ""},
		"no label":             {"1", "", unix.ENODATA, "", ""},
		"an empty one":         {"1", "", nil, "", ""},
		"a disk without any":   {"1", "", unix.EOPNOTSUPP, "", ""},
		"it cannot be read":    {"1", "", broken, "", "broken"},
		"more than a label":    {"1", `x",exec,context="y`, nil, "", "label of"},
		"of several lines":     {"1", "a\nb", nil, "", "label of"},
		"an escaped quote":     {"1", `a\`, nil, "", "label of"},
		"that is not ASCII":    {"1", "ä", nil, "", "label of"},
		"with several words":   {"1", "a b", nil, "", "label of"},
		"of a role of its own": {"1", "a:b:c:s0-s0:c0.c1023", nil, `context="a:b:c:s0-s0:c0.c1023"`, ""},
	} {
		files := map[string]string{"proc/x": ""}
		if test.enforce != "" {
			files["sys/fs/selinux/enforce"] = test.enforce
		}
		p, m := &pid1{}, machine(t, files)
		m.dial = func(context.Context) (manager, error) { return p, nil }
		m.label = func(path string) (string, error) {
			if path != "/opt/1/tree" {
				t.Errorf("%s: the label of %s was read", name, path)
			}
			return test.label, test.err
		}
		err := m.Mount(t.Context(), "erofs", "/opt/1/meta/image", "/opt/1/tree")
		if test.fails != "" {
			if err == nil || !strings.Contains(err.Error(), test.fails) || p.mount.What != "" {
				t.Errorf("%s: %v, mounted %+v", name, err, p.mount)
			}
			continue
		}
		want := []string{"loop", "ro", "nodev", "nosuid"}
		if test.want != "" {
			want = append(want, test.want)
		}
		if err != nil || !slices.Equal(p.mount.Options, want) {
			t.Errorf("%s: %v, options %q, want %q", name, err, p.mount.Options, want)
		}
	}
}

// A file system without labels is no reason against a mount.
func TestLabelOfAFile(t *testing.T) {
	if got, err := label("/proc/self/stat"); err == nil && got == "" || err != nil && !errors.Is(err, unix.ENODATA) && !errors.Is(err, unix.EOPNOTSUPP) {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := label("/nowhere"); !errors.Is(err, unix.ENOENT) {
		t.Errorf("%v", err)
	}
}
