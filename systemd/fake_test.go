package systemd

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	sdbus "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
)

const (
	managerPath = "/org/freedesktop/systemd1"
	unitPrefix  = managerPath + "/unit"
	managerName = "org.freedesktop.systemd1.Manager"
)

// fakeSystemd answers on the wire as PID 1 does. Its fields are switches; set them
// before the call that they affect.
type fakeSystemd struct {
	mu       sync.Mutex
	units    map[string]*fakeUnit                         // what systemd has loaded or can load
	own      string                                       // the unit this process is in; "" = none
	jobs     []sdbus.JobStatus                            // queued by others
	times    map[string]uint64                            // the manager's own time stamps, in microseconds
	busy     bool                                         // ListJobs fails
	made     func(map[string]any) *fakeUnit               // becomes of a transient unit with these properties
	beside   func(name string, properties map[string]any) // gets a unit that is made with a transient one
	unitPath []string                                     // where systemd looks for unit files; nil = it does not say
	cut      map[string]string                            // connections are lost at the next call of a kind, e.g. restart: "before" or "after" it is done
	owner    string                                       // the last unit that was made with a transient one
	taken    bool                                         // it was there already
	gone     bool                                         // a new connection gets no answer
	calls    []string
	conns    []*dbus.Conn
}

type fakeUnit struct {
	props    map[string]any // org.freedesktop.systemd1.Unit
	service  map[string]any // org.freedesktop.systemd1.Service
	timer    map[string]any // org.freedesktop.systemd1.Timer of one that is gone when it has stopped; nil = it is none
	result   string         // of every job; "" = it never ends
	dormant  bool           // on disk, but not loaded until a job needs it
	fleeting bool           // made for one start: gone when it has stopped
	started  func()         // runs before a start job is removed
	job      uint32         // the id of the one it has; 0 = none
}

func newUnit(result string, after ...string) *fakeUnit {
	return &fakeUnit{
		result: result,
		props: map[string]any{
			"LoadState": "loaded", "ActiveState": "active", "SubState": "running", "UnitFileState": "disabled",
			"InvocationID": []byte{0xab, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, "After": after,
		},
		service: map[string]any{
			"NRestarts": uint32(0), "Type": "exec", "ReloadResult": "success", "MainPID": uint32(4711), "Result": "success", "ExecMainStatus": int32(0),
		},
	}
}

// start connects a Manager to the fake and closes both when the test ends.
func (f *fakeSystemd) start(t *testing.T) *Manager {
	t.Helper()
	m, err := connect(t.Context(), func(ctx context.Context) (*sdbus.Conn, error) {
		return sdbus.NewConnection(func() (*dbus.Conn, error) { return f.dial(ctx) })
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// dial returns the client's end of a new connection to the fake. godbus can
// serve objects but only authenticate as a client, so both ends do that,
// towards a bus that says yes to everyone and passes the rest on.
func (f *fakeSystemd) dial(ctx context.Context) (*dbus.Conn, error) {
	f.mu.Lock()
	gone := f.gone
	f.mu.Unlock()
	if gone {
		return nil, syscall.ECONNREFUSED
	}
	clientEnd, busToClient := net.Pipe()
	serverEnd, busToServer := net.Pipe()
	go func() {
		if handshake(busToClient) == nil && handshake(busToServer) == nil {
			go relay(busToClient, busToServer)
			relay(busToServer, busToClient)
		}
	}()
	client, err := dbus.NewConn(clientEnd, dbus.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	if err := client.Auth([]dbus.Auth{dbus.AuthExternal("0")}); err != nil {
		return nil, err
	}
	server, err := dbus.NewConn(serverEnd)
	if err != nil {
		return nil, err
	}
	return client, f.serve(server)
}

func (f *fakeSystemd) serve(server *dbus.Conn) error {
	if err := server.Export(&managerObject{f}, managerPath, managerName); err != nil {
		return err
	}
	if err := server.Export(&managerProperties{f}, managerPath, "org.freedesktop.DBus.Properties"); err != nil {
		return err
	}
	if err := server.ExportSubtree(&unitObject{f}, unitPrefix, "org.freedesktop.DBus.Properties"); err != nil {
		return err
	}
	f.mu.Lock()
	f.conns = append(f.conns, server)
	f.mu.Unlock()
	return server.Auth([]dbus.Auth{dbus.AuthExternal("0")})
}

func handshake(conn io.ReadWriter) error {
	answers := []string{"REJECTED EXTERNAL", "OK 00000000000000000000000000000000", "AGREE_UNIX_FD"}
	// One byte at a time: what follows BEGIN belongs to the other end.
	in := bufio.NewReaderSize(oneByte{conn}, 16)
	for {
		line, err := in.ReadString('\n')
		if err != nil || strings.HasPrefix(line, "BEGIN") {
			return err
		}
		if _, err := fmt.Fprintf(conn, "%s\r\n", answers[0]); err != nil {
			return err
		}
		answers = answers[1:]
	}
}

type oneByte struct{ io.Reader }

func (r oneByte) Read(p []byte) (int, error) { return r.Reader.Read(p[:1]) }

func relay(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_ = to.Close()
	_ = from.Close()
}

// hangUp breaks all connections, as a systemd that is executed anew does.
func (f *fakeSystemd) hangUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closeAll()
}

// leave is hangUp of a systemd that does not come back.
func (f *fakeSystemd) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gone = true
	f.closeAll()
}

func (f *fakeSystemd) closeAll() {
	for _, conn := range f.conns {
		_ = conn.Close()
	}
	f.conns = nil
}

// cuts hangs up if the connection is to be lost now.
func (f *fakeSystemd) cuts(kind, when string) bool {
	if f.cut[kind] != when {
		return false
	}
	delete(f.cut, kind)
	f.closeAll()
	return true
}

// left names the units that exist.
func (f *fakeSystemd) left() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(slices.Sorted(maps.Keys(f.units)), ", ")
}

func (f *fakeSystemd) called() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.calls, ", ")
}

// set changes a property of a loaded unit.
func (f *fakeSystemd) set(unit, name string, value any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	props := f.units[unit].props
	if _, ok := f.units[unit].service[name]; ok {
		props = f.units[unit].service
	}
	props[name] = value
}

// managerObject has the methods of org.freedesktop.systemd1.Manager.
type managerObject struct{ f *fakeSystemd }

func (o *managerObject) RestartUnit(unit, mode string) (dbus.ObjectPath, *dbus.Error) {
	return o.f.job("restart", unit, mode)
}

func (o *managerObject) StartUnit(unit, mode string) (dbus.ObjectPath, *dbus.Error) {
	return o.f.job("start", unit, mode)
}

func (o *managerObject) ReloadUnit(unit, mode string) (dbus.ObjectPath, *dbus.Error) {
	return o.f.job("reload", unit, mode)
}

func (o *managerObject) StopUnit(unit, mode string) (dbus.ObjectPath, *dbus.Error) {
	return o.f.job("stop", unit, mode)
}

func (o *managerObject) StartTransientUnit(unit, mode string, properties []sdbus.Property, beside []sdbus.PropertyCollection) (dbus.ObjectPath, *dbus.Error) {
	values := byName(properties)
	o.f.mu.Lock()
	for _, b := range beside {
		o.f.beside(b.Name, byName(b.Properties))
	}
	if o.f.cuts("start", "before") {
		o.f.mu.Unlock()
		return "", noSuchUnit(unit)
	}
	if o.f.units[unit] != nil || o.f.taken {
		o.f.mu.Unlock()
		return "", dbus.NewError("org.freedesktop.systemd1.UnitExists", []any{"Unit " + unit + " was already loaded."})
	}
	o.f.units[unit] = o.f.made(values)
	o.f.mu.Unlock()
	return o.f.job("start", unit, mode)
}

func byName(properties []sdbus.Property) map[string]any {
	values := map[string]any{}
	for _, p := range properties {
		values[p.Name] = p.Value.Value()
	}
	return values
}

func (o *managerObject) ResetFailedUnit(unit string) *dbus.Error {
	o.f.mu.Lock()
	defer o.f.mu.Unlock()
	u := o.f.units[unit]
	if u == nil || u.dormant {
		return noSuchUnit(unit)
	}
	if u.fleeting {
		delete(o.f.units, unit)
	}
	o.f.calls = append(o.f.calls, "reset "+unit)
	return nil
}

func (o *managerObject) Reload() *dbus.Error {
	o.f.mu.Lock()
	defer o.f.mu.Unlock()
	o.f.calls = append(o.f.calls, "reload")
	return nil
}

func (o *managerObject) LinkUnitFiles(files []string, runtime, force bool) ([]sdbus.LinkUnitFileChange, *dbus.Error) {
	o.f.mu.Lock()
	defer o.f.mu.Unlock()
	o.f.calls = append(o.f.calls, fmt.Sprintf("link %s runtime %v force %v", strings.Join(files, " "), runtime, force))
	if o.f.busy {
		return nil, dbus.NewError("org.freedesktop.DBus.Error.FileNotFound", []any{"No such file or directory"})
	}
	return []sdbus.LinkUnitFileChange{}, nil
}

func (o *managerObject) ListJobs() ([]sdbus.JobStatus, *dbus.Error) {
	o.f.mu.Lock()
	defer o.f.mu.Unlock()
	if o.f.busy {
		return nil, dbus.NewError("org.freedesktop.DBus.Error.LimitsExceeded", []any{"Too many requests."})
	}
	return append([]sdbus.JobStatus{}, o.f.jobs...), nil
}

func (o *managerObject) ListUnitsByPatterns(_, patterns []string) ([]sdbus.UnitStatus, *dbus.Error) {
	o.f.mu.Lock()
	defer o.f.mu.Unlock()
	found := []sdbus.UnitStatus{}
	for _, name := range slices.Sorted(maps.Keys(o.f.units)) {
		if slices.ContainsFunc(patterns, func(p string) bool { ok, _ := path.Match(p, name); return ok }) {
			found = append(found, sdbus.UnitStatus{Name: name, Path: "/", JobPath: "/"})
		}
	}
	return found, nil
}

func (o *managerObject) GetUnitByPID(pid uint32) (dbus.ObjectPath, *dbus.Error) {
	if o.f.own == "" || int(pid) != os.Getpid() {
		return "", dbus.NewError("org.freedesktop.systemd1.NoUnitForPID", []any{"none"})
	}
	return dbus.ObjectPath(unitPrefix + "/" + sdbus.PathBusEscape(o.f.own)), nil
}

func (f *fakeSystemd) job(kind, unit, mode string) (dbus.ObjectPath, *dbus.Error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cuts(kind, "before") {
		return "", noSuchUnit(unit) // which does not get through
	}
	f.calls = append(f.calls, kind+" "+unit+" "+mode)
	u := f.units[unit]
	if u == nil {
		return "", noSuchUnit(unit)
	}
	job := dbus.ObjectPath(fmt.Sprintf("%s/job/%d", managerPath, len(f.calls)))
	result := u.result
	if u.fleeting && (kind == "stop" && result != "failed" || result == "done") {
		delete(f.units, unit)
	}
	if kind == "stop" && u.timer != nil && result == "done" {
		delete(f.units, unit)
	}
	if kind == "stop" && u.fleeting {
		result = "done"
	} else if u.started != nil {
		u.started()
	}
	f.cuts(kind, "after")
	if result != "" {
		f.emitRemoved(job, unit, result)
	} else {
		u.job = uint32(len(f.calls))
	}
	return job, nil
}

// emitRemoved goes to every connection, and before the reply to the call that
// queued the job: a unit may start faster than the reply travels.
func (f *fakeSystemd) emitRemoved(job dbus.ObjectPath, unit, result string) {
	if u := f.units[unit]; u != nil {
		u.job = 0
	}
	for _, conn := range f.conns {
		_ = conn.Emit(managerPath, managerName+".JobRemoved", uint32(1), job, unit, result)
	}
}

func noSuchUnit(unit string) *dbus.Error {
	return dbus.NewError("org.freedesktop.systemd1.NoSuchUnit", []any{"Unit " + unit + " not found."})
}

// managerProperties has org.freedesktop.DBus.Properties of PID 1 itself.
type managerProperties struct{ f *fakeSystemd }

func (o *managerProperties) Get(_, name string) (dbus.Variant, *dbus.Error) {
	o.f.mu.Lock()
	defer o.f.mu.Unlock()
	if name == "UnitPath" && o.f.unitPath != nil {
		return dbus.MakeVariant(o.f.unitPath), nil
	}
	at, known := o.f.times[name]
	if !known {
		return dbus.Variant{}, dbus.NewError("org.freedesktop.DBus.Error.UnknownProperty", []any{"Unknown property or interface."})
	}
	return dbus.MakeVariant(at), nil
}

// unitObject has org.freedesktop.DBus.Properties of every unit.
type unitObject struct{ f *fakeSystemd }

func (o *unitObject) GetAll(call dbus.Message, iface string) (map[string]dbus.Variant, *dbus.Error) {
	o.f.mu.Lock()
	defer o.f.mu.Unlock()
	all := map[string]dbus.Variant{}
	for name, value := range o.f.properties(call, iface) {
		all[name] = dbus.MakeVariant(value)
	}
	return all, nil
}

func (o *unitObject) Get(call dbus.Message, iface, name string) (dbus.Variant, *dbus.Error) {
	o.f.mu.Lock()
	defer o.f.mu.Unlock()
	value, ok := o.f.properties(call, iface)[name]
	if !ok {
		return dbus.Variant{}, dbus.NewError("org.freedesktop.DBus.Error.UnknownProperty", []any{"Unknown property or interface."})
	}
	return dbus.MakeVariant(value), nil
}

type jobPair struct {
	ID   uint32
	Path dbus.ObjectPath
}

func (f *fakeSystemd) properties(call dbus.Message, iface string) map[string]any {
	object, _ := call.Headers[dbus.FieldPath].Value().(dbus.ObjectPath)
	for name, unit := range f.units {
		if string(object) != unitPrefix+"/"+sdbus.PathBusEscape(name) {
			continue
		}
		if iface == "org.freedesktop.systemd1.Service" {
			return unit.service
		}
		if iface == "org.freedesktop.systemd1.Timer" {
			return unit.timer
		}
		props := maps.Clone(unit.props)
		props["Job"] = jobPair{unit.job, "/"}
		return props
	}
	return map[string]any{"LoadState": "not-found", "ActiveState": "inactive", "Job": jobPair{0, "/"}}
}
