package systemd

import (
	"reflect"
	"testing"
)

// A view is a file system of its own, with binds into what is there.
func TestRunTransientWithAView(t *testing.T) {
	f := transient(t, "done", "")
	made := f.remember()
	m := f.startWithFDs(t)
	c, _ := hook(t)
	if err := m.RunTransient(t.Context(), c); err != nil || made()["TemporaryFileSystem"] != nil || made()["BindPaths"] != nil {
		t.Errorf("RunTransient = %v; without a view there are mounts: %v", err, made())
	}
	c.View = &View{Dir: "/opt/web", Entries: map[string]string{"releases": "/opt/web/releases", "current": "/opt/web/releases/2/tree"}}
	if err := m.RunTransient(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"TemporaryFileSystem": [][]any{{"/opt/web", "ro,mode=0755"}},
		"BindPaths": [][]any{
			{"/opt/web/releases/2/tree", "/opt/web/current", true, uint64(0x4000)}, {"/opt/web/releases", "/opt/web/releases", true, uint64(0x4000)},
		},
	} {
		if !reflect.DeepEqual(made()[name], want) {
			t.Errorf("%s is %v, want %v", name, made()[name], want)
		}
	}
}
