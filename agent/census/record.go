package census

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"koboshi/agent/report"
	"koboshi/artifacts"
)

// schema is the version of the record's format. New members do not change it.
const schema = 1

// MaxRecord is how long a record is at most, in bytes.
const MaxRecord = 4 << 10

// maxWhy bounds the text of a record, in bytes.
const maxWhy = 300

// Directory is where all records are, below the app's prefix.
const Directory = "health/"

var (
	// ErrRecord is an object that is no record, or is not what its key says.
	ErrRecord = errors.New("it is no health record")
	// ErrNewer is a record that a newer koboshi has written.
	ErrNewer = errors.New("the health record was written by a newer koboshi")
)

// State is what a record says of its instance.
type State string

// The states of a record.
const (
	OK     State = "ok"     // the release is running and healthy
	Failed State = "failed" // the release did not come up, or is not healthy any more
	Gone   State = "gone"   // the instance was drained
)

// badness orders states that were written within the same second, of which a store's
// times cannot say which is newer: the worse one counts.
var badness = map[State]int{OK: 1, Gone: 2, Failed: 3}

// Subject is whom and what a record is about: everything that its key says.
type Subject struct {
	Channel  string
	Version  string
	Manifest string // the first 12 digits of the hash of the manifest's envelope
	Instance string
	State    State
}

// Key is where the record is, below the app's prefix.
func (s Subject) Key() string {
	return Directory + s.Channel + "/" + s.Version + "-" + s.Manifest + "/" + s.Instance + "." + string(s.State) + ".json"
}

// prefixOf is the part of the key that all records of a channel have; "" = of all channels.
func prefixOf(channel string) string {
	if channel == "" {
		return Directory
	}
	return Directory + channel + "/"
}

// ParseKey reads a key; false for one that is no record's.
func ParseKey(key string) (s Subject, ok bool) {
	rest, ok := strings.CutPrefix(key, Directory)
	parts := strings.Split(rest, "/")
	if !ok || len(parts) != 3 {
		return s, false
	}
	release, name := parts[1], strings.Split(parts[2], ".")
	at := strings.LastIndexByte(release, '-')
	if len(name) != 3 || name[2] != "json" || at < 1 {
		return s, false
	}
	s = Subject{parts[0], release[:at], release[at+1:], name[0], State(name[1])}
	return s, s.check() == nil
}

func (s Subject) check() error {
	if err := errors.Join(artifacts.CheckName(s.Channel), artifacts.CheckVersion(s.Version), checkInstance(s.Instance)); err != nil {
		return err
	}
	if !artifacts.IsShort(s.Manifest) {
		return fmt.Errorf("%.20q is not the beginning of a manifest's hash", s.Manifest)
	}
	if badness[s.State] == 0 {
		return fmt.Errorf("state %.20q", s.State)
	}
	return nil
}

// checkInstance accepts what may be the id of an instance.
func checkInstance(id string) error {
	if artifacts.CheckName(id) != nil {
		return fmt.Errorf("%.40q is not the id of an instance", id)
	}
	return nil
}

// Record is the content of a record. Version and ManifestSHA256 are the release that
// it is about; Running is the version that runs, where that is another one. Since is when
// the running release was first healthy on this instance. At and Since are by the
// instance's clock.
type Record struct {
	Schema         int              `json:"schema"`
	App            string           `json:"app"`
	Channel        string           `json:"channel"`
	Instance       string           `json:"instance"`
	Version        string           `json:"version"`
	ManifestSHA256 artifacts.Digest `json:"manifest_sha256"`
	Sequence       int64            `json:"sequence,omitzero"`
	State          State            `json:"state"`
	Verdict        report.Verdict   `json:"verdict"`
	Code           int              `json:"code"`
	Why            string           `json:"why,omitzero"` // one line, where Code is not 0
	Running        string           `json:"running,omitzero"`
	Since          time.Time        `json:"since,omitzero"`
	NodeID         *int             `json:"node_id,omitzero"`
	Group          string           `json:"group,omitzero"`
	AZ             string           `json:"az,omitzero"`
	Boot           *Boot            `json:"boot,omitzero"` // nil where it is not known
	Agent          string           `json:"agent"`
	At             time.Time        `json:"at"`
}

// Boot is how the last boot ended: its exit code, and how long it took.
type Boot struct {
	Code int   `json:"code"`
	MS   int64 `json:"ms"`
}

// Subject is what the record's key says.
func (r Record) Subject() Subject {
	return Subject{r.Channel, r.Version, r.ManifestSHA256.Short(), r.Instance, r.State}
}

// clean makes texts fit to print.
func (r Record) clean() Record {
	r.Verdict = report.Verdict(report.Clean(string(r.Verdict), 20))
	r.Why, r.Running = report.Clean(r.Why, maxWhy), report.Clean(r.Running, 64)
	r.Group, r.AZ, r.Agent = report.Clean(r.Group, 255), report.Clean(r.AZ, 64), report.Clean(r.Agent, 64)
	r.Since, r.At = r.Since.UTC(), r.At.UTC()
	return r
}

// Encode is the record as it is stored: at most MaxRecord bytes, one line.
func (r Record) Encode() ([]byte, error) {
	r.Schema = schema
	r = r.clean()
	if err := errors.Join(r.Subject().check(), artifacts.CheckName(r.App)); err != nil {
		return nil, err
	}
	text, err := json.Marshal(r)
	if err == nil && len(text) >= MaxRecord {
		err = fmt.Errorf("a record of %d bytes", len(text))
	}
	return append(text, '\n'), err
}

// Parse reads the record of an app that is stored under a key. Members that it does not
// know are ignored. Errors are ErrNewer and ErrRecord; what they quote is not cleaned.
func Parse(text []byte, app string, of Subject) (Record, error) {
	var r Record
	var version struct {
		Schema int `json:"schema"`
	}
	err := json.Unmarshal(text, &version)
	switch {
	case len(text) > MaxRecord:
		err = fmt.Errorf("it has more than %d bytes", MaxRecord)
	case err == nil && version.Schema > schema:
		return r, fmt.Errorf("%w: schema %d, this one knows %d", ErrNewer, version.Schema, schema)
	case err == nil && version.Schema != schema:
		err = fmt.Errorf("schema %d", version.Schema)
	}
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err == nil {
		err = r.check(app, of)
	}
	if err != nil {
		return Record{}, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	return r.clean(), nil
}

// maxNodeID is the largest node id that a record may have.
const maxNodeID = 1<<20 - 1

func (r Record) check(app string, of Subject) error {
	switch {
	case r.App != app:
		return fmt.Errorf("it is of app %.80q", r.App)
	case r.Subject() != of:
		return fmt.Errorf("it is about %.300q, and is stored for another one", r.Subject().Key())
	case r.NodeID != nil && (*r.NodeID < 0 || *r.NodeID > maxNodeID):
		return fmt.Errorf("node id %d", *r.NodeID)
	case r.Code < 0 || r.Code > 255, r.Boot != nil && (r.Boot.Code < 0 || r.Boot.Code > 255 || r.Boot.MS < 0):
		return errors.New("its exit codes and times are none")
	case r.Running != "" && artifacts.CheckVersion(r.Running) != nil:
		return fmt.Errorf("running: %.80q is no version", r.Running)
	case r.At.IsZero():
		return errors.New("it has no time")
	}
	return of.check()
}
