package systemd

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

// What a unit is given reaches a transient unit as PID 1 had it.
func TestInherit(t *testing.T) {
	f := transient(t, "done", "")
	web := newUnit("done")
	f.units["web.service"] = web
	for name, value := range map[string]any{
		"Environment": []string{"A=1"}, "EnvironmentFiles": []EnvironmentFile{{"/etc/web/env", false}, {"/etc/web/*.more", true}},
		"PassEnvironment": []string{"LANG"}, "UnsetEnvironment": []string{"B"},
		"LoadCredential": []loadedCredential{{"db", "/etc/web/db"}}, "SetCredential": []setCredential{{"key", []byte("hunter2\x00")}},
		"SetCredentialEncrypted": []setCredential{}, // LoadCredentialEncrypted is not known to an older systemd
	} {
		web.service[name] = value
	}
	made := f.remember()
	m := f.startWithFDs(t)
	c, _ := hook(t)
	var err error
	if c.Inherited, err = m.Inherit(t.Context(), "web.service"); err != nil || !reflect.DeepEqual(c.Inherited.Env, []string{"A=1"}) {
		t.Fatalf("Inherit = %+v, %v", c.Inherited, err)
	}
	if err := m.RunTransient(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"Environment": []string{"A=1"}, "EnvironmentFiles": [][]any{{"/etc/web/env", false}, {"/etc/web/*.more", true}},
		"PassEnvironment": []string{"LANG"}, "UnsetEnvironment": []string{"B"},
		"LoadCredential": [][]any{{"db", "/etc/web/db"}}, "SetCredential": [][]any{{"key", []byte("hunter2\x00")}},
		"LoadCredentialEncrypted": nil, "SetCredentialEncrypted": nil,
	} {
		if !reflect.DeepEqual(made()[name], want) {
			t.Errorf("%s is %v, want %v", name, made()[name], want)
		}
	}
}

// An answer that is none must not pass for a unit without secrets.
func TestInheritFromNoUnit(t *testing.T) {
	f := one("done")
	m := f.start(t)
	if _, err := m.Inherit(t.Context(), "none.service"); !errors.Is(err, ErrNoUnit) {
		t.Errorf("Inherit of no unit = %v", err)
	}
	f.units["web.service"].service["LoadCredential"] = []string{"db"}
	if _, err := m.Inherit(t.Context(), "web.service"); err == nil || !strings.HasSuffix(err.Error(), "LoadCredential of web.service: got a as") {
		t.Errorf("Inherit of a wrong type = %v", err)
	}
	f.set("web.service", "LoadState", "bad-setting")
	if _, err := m.Inherit(t.Context(), "web.service"); err == nil || !strings.Contains(err.Error(), "is not loaded: \"bad-setting") {
		t.Errorf("Inherit of a unit that is not loaded = %v", err)
	}
}
