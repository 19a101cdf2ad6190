package systemd

import (
	"crypto/rand"
	"errors"
	"os"
	"strings"

	sdbus "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
)

// owner represents this process in systemd: a unit that reads a pipe, and so ends
// when this process does, even by SIGKILL. Units that are bound to it are stopped
// then. Its name is always a new one, since it ends by itself.
type owner struct {
	unit     string
	from, to *os.File
}

func newOwner(of string) (owner, error) {
	from, to, err := os.Pipe()
	if err != nil {
		return owner{}, err
	}
	name := strings.TrimSuffix(of, ".service") + "-owner-" + strings.ToLower(rand.Text()[:10]) + ".service"
	return owner{name, from, to}, nil
}

// close ends the unit.
func (o owner) close() { _ = errors.Join(o.from.Close(), o.to.Close()) } // of a pipe that is not written to

// binding is what a unit needs in order to end with its owner.
func (o owner) binding() []sdbus.Property {
	return properties([]property{{"BindsTo", []string{o.unit}}, {"After", []string{o.unit}}})
}

func (o owner) collection(as Credentials) sdbus.PropertyCollection {
	return sdbus.PropertyCollection{Name: o.unit, Properties: properties([]property{
		{"Description", "the koboshi that owns a hook"},
		{"Type", "simple"},
		{"ExecStartEx", command("/bin/cat")},
		{"StandardInputFileDescriptor", dbus.UnixFD(o.from.Fd())}, //nolint:gosec // a descriptor fits
		{"StandardOutput", "null"},
		{"CollectMode", "inactive-or-failed"},
		{"LogLevelMax", int32(logEmergency)},
		{"User", as.User},
		{"Group", as.Group},
		{"DynamicUser", as.Dynamic},
		{"NoNewPrivileges", true},
	})}
}
