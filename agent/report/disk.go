package report

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"koboshi/artifacts"
	"koboshi/artifacts/durable"
)

// Dir has the reports, one a command, in the state directory.
const Dir = "reports"

const suffix = ".json"

// Load reads the report of the last run of a command from the state directory.
// Keys it does not know are ignored and missing ones are zero, so that it reads
// what older and newer agents wrote. The error is fs.ErrNotExist where the
// command has not run yet and [ErrDamaged] for a file that is no report.
func Load(dir *os.Root, command string) (Report, error) {
	name := path.Join(Dir, command+suffix)
	data, err := read(dir, name)
	if err != nil {
		return Report{}, err
	}
	r, err := Parse(data)
	if err != nil {
		return Report{}, fmt.Errorf("%s: %w", name, err)
	}
	return r, nil
}

// Newest reads the report of the last run of any command. Reports that cannot
// be read are skipped as long as one can be. Otherwise the error says why, and is
// fs.ErrNotExist where nothing has run yet.
func Newest(dir *os.Root) (Report, error) {
	reports, err := loadAll(dir)
	if len(reports) == 0 {
		return Report{}, cmp.Or(err, fmt.Errorf("read %s: %w", Dir, fs.ErrNotExist))
	}
	return slices.MaxFunc(reports, func(a, b Report) int {
		return cmp.Compare(a.Order, b.Order)
	}), nil
}

// loadAll returns the reports that can be read, and why others cannot.
func loadAll(dir *os.Root) (reports []Report, problems error) {
	entries, err := fs.ReadDir(dir.FS(), Dir)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return nil, err
	}
	for _, entry := range entries {
		command, found := strings.CutSuffix(entry.Name(), suffix)
		if !found || artifacts.CheckName(command) != nil {
			continue
		}
		r, err := Load(dir, command)
		if err != nil {
			problems = errors.Join(problems, err)
			continue
		}
		reports = append(reports, r)
	}
	return reports, problems
}

// Parse reads a report that was stored elsewhere, such as the output of
// status --json, in the same way as [Load].
func Parse(data []byte) (Report, error) {
	var r Report
	if err := decode(data, &r, json.WithUnmarshalers(json.UnmarshalFromFunc(decodeText))); err != nil {
		return Report{}, fmt.Errorf("parse report: %w", err)
	}
	r.Verdict = Verdict(Clean(string(r.Verdict), MaxText))
	return r, nil
}

// Save makes r the last report of its command in the state directory, readable
// by all, and puts it before the runs in the history. It sets r's Schema and
// Order. Reports of other commands stay as they are.
func (r *Report) Save(dir *os.Root) error {
	if err := artifacts.CheckName(r.Command); err != nil {
		return fmt.Errorf("save report: command: %w", err)
	}
	err := r.Note(dir)
	return errors.Join(r.write(dir), err)
}

// Note puts r before the runs in the history, and into no report. It sets r's
// Schema and Order.
func (r *Report) Note(dir *os.Root) error {
	runs, err := LoadHistory(dir)
	r.Schema, r.Order = Schema, nextOrder(dir, runs)
	if err == nil || errors.Is(err, ErrDamaged) { // a damaged history is begun anew: no run fails for it
		err = saveHistory(dir, append([]Run{r.inShort()}, runs...))
	}
	return err
}

// nextOrder looks at the reports too, because a crash may have come between
// them and the history, and either may be lost.
func nextOrder(dir *os.Root, runs []Run) int64 {
	var last int64
	for _, run := range runs {
		last = max(last, run.Order)
	}
	reports, _ := loadAll(dir) // unreadable reports do not count
	for _, r := range reports {
		last = max(last, r.Order)
	}
	return min(last, math.MaxInt64-1) + 1
}

// Encode is the report as [Report.Save] writes it.
func (r *Report) Encode() ([]byte, error) { return encode(r) }

func (r *Report) write(dir *os.Root) error {
	if err := makeDir(dir); err != nil {
		return fmt.Errorf("save report: %w", err)
	}
	return save(dir, path.Join(Dir, r.Command+suffix), r)
}

// makeDir creates the directory of the reports, readable by all under any umask.
func makeDir(dir *os.Root) error {
	const mode = 0o755
	err := dir.Mkdir(Dir, mode)
	if info, e := dir.Lstat(Dir); errors.Is(err, fs.ErrExist) && e == nil && info.Mode().Perm() == mode {
		return nil
	}
	if errors.Is(err, fs.ErrExist) {
		return dir.Chmod(Dir, mode)
	}
	return errors.Join(err, dir.Chmod(Dir, mode), durable.SyncDir(dir, "."))
}
