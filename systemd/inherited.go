package systemd

import (
	"context"
	"fmt"

	sdbus "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
)

// Inherited is what a service is given by its unit: variables and credentials, for
// a command that has to see them, too. It is handed back to PID 1 as PID 1 has it:
// files are read, and credentials are decrypted, by systemd alone. The values may be
// secrets, and go nowhere else.
type Inherited struct {
	Env   []string          // Environment=
	Files []EnvironmentFile // EnvironmentFile=; what they set counts more

	passed, unset           []string           // PassEnvironment=, UnsetEnvironment=
	loaded, loadedEncrypted []loadedCredential // LoadCredential=, LoadCredentialEncrypted=
	set, setEncrypted       []setCredential    // SetCredential=, SetCredentialEncrypted=
}

// EnvironmentFile is one EnvironmentFile=, in the form that D-Bus has it.
type EnvironmentFile struct {
	Path     string // may be a pattern
	Optional bool   // written with a minus sign: may be missing
}

type loadedCredential struct{ Name, Path string }

type setCredential struct {
	Name  string
	Value []byte
}

// Inherit asks PID 1 what a service is given. What this systemd does not know, no
// unit has. The error is ErrNoUnit where there is no such unit.
func (m *Manager) Inherit(ctx context.Context, unit string) (i Inherited, err error) {
	if err := m.checkLoaded(ctx, unit, "the credentials"); err != nil {
		return i, err
	}
	for name, to := range i.byName() {
		var property *sdbus.Property
		err := m.ask(ctx, func(c *sdbus.Conn) (err error) {
			property, err = c.GetServicePropertyContext(ctx, unit, name)
			return err
		})
		if isDBusError(err, "org.freedesktop.DBus.Error.UnknownProperty") {
			continue
		}
		if err != nil {
			return Inherited{}, unitError("ask for "+name+" of", unit, err)
		}
		if err := dbus.Store([]any{property.Value.Value()}, to); err != nil {
			return Inherited{}, fmt.Errorf("ask for %s of %s: got a %s", name, unit, property.Value.Signature())
		}
	}
	return i, nil
}

// byName are the properties by their names on D-Bus.
func (i *Inherited) byName() map[string]any {
	return map[string]any{
		"Environment": &i.Env, "EnvironmentFiles": &i.Files,
		"PassEnvironment": &i.passed, "UnsetEnvironment": &i.unset,
		"LoadCredential": &i.loaded, "LoadCredentialEncrypted": &i.loadedEncrypted,
		"SetCredential": &i.set, "SetCredentialEncrypted": &i.setEncrypted,
	}
}

// properties are all but Environment, to which a command adds its own variables.
func (i Inherited) properties() []sdbus.Property {
	var all []property
	for _, p := range []struct {
		property
		count int
	}{
		{property{"EnvironmentFiles", i.Files}, len(i.Files)},
		{property{"PassEnvironment", i.passed}, len(i.passed)},
		{property{"UnsetEnvironment", i.unset}, len(i.unset)},
		{property{"LoadCredential", i.loaded}, len(i.loaded)},
		{property{"LoadCredentialEncrypted", i.loadedEncrypted}, len(i.loadedEncrypted)},
		{property{"SetCredential", i.set}, len(i.set)},
		{property{"SetCredentialEncrypted", i.setEncrypted}, len(i.setEncrypted)},
	} {
		if p.count > 0 { // an older systemd may not know it
			all = append(all, p.property)
		}
	}
	return properties(all)
}
