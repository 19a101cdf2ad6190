package systemd

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestCredentials(t *testing.T) {
	f := one("done")
	for name, value := range map[string]any{"User": "web", "Group": "www", "SupplementaryGroups": []string{"adm"}, "DynamicUser": true} {
		f.units["web.service"].service[name] = value
	}
	m := f.start(t)
	got, err := m.Credentials(t.Context(), "web.service")
	if want := (Credentials{"web", "www", []string{"adm"}, true}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Credentials = %+v, %v; want %+v", got, err, want)
	}
	if _, err := m.Credentials(t.Context(), "none.service"); !errors.Is(err, ErrNoUnit) {
		t.Errorf("Credentials of no unit = %v", err)
	}
	f.units["web.service"].service["User"] = uint32(0)
	if _, err := m.Credentials(t.Context(), "web.service"); err == nil || !strings.Contains(err.Error(), "User") {
		t.Errorf("Credentials of a wrong type = %v", err)
	}
	for _, state := range []string{"error", "bad-setting", "masked"} { // whose user is not to be taken for root
		f.units["web.service"].service["User"] = ""
		f.set("web.service", "LoadState", state)
		if c, err := m.Credentials(t.Context(), "web.service"); err == nil || !strings.Contains(err.Error(), "is not loaded: \""+state) {
			t.Errorf("Credentials of a unit that is %s = %+v, %v", state, c, err)
		}
	}
}
