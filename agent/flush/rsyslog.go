package flush

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"koboshi/agent/config"
)

// rsyslog reads imfile's state files, which say how far each file was read and
// put into the queue, and then a later block of impstats, in which every queue is
// empty: a queue keeps a batch until the action has taken it.
type rsyslog struct {
	state     string
	stats     *tail
	withFiles bool

	queues   map[string]queue // as last seen
	reports  interval
	failed   map[string]int64 // by action: what it could not send, as last seen
	measured []int64          // the files, as last seen
	through  bool             // they were read, and later counts since then
	since    int              // lines of statistics since then
	later    map[string]int64 // how often each queue was in them
}

// queue is what impstats says of one.
type queue struct{ size, enqueued, discarded int64 }

func newRsyslog(f config.Flush) *rsyslog {
	return &rsyslog{
		state: f.State, stats: newTail(f.Stats), withFiles: len(f.Files) > 0,
		queues: map[string]queue{}, failed: map[string]int64{}, later: map[string]int64{},
	}
}

func (r *rsyslog) begin() { r.through = false }

func (r *rsyslog) look(_ context.Context, files []*file) (sight, error) {
	s := sight{unit: Bytes}
	if r.withFiles {
		if err := r.advance(files, &s); err != nil {
			return sight{}, err
		}
	}
	var measured []int64
	for _, f := range files {
		measured = append(measured, int64(f.inode), f.size)
	}
	if s.left > 0 || s.doubt != "" || !slices.Equal(measured, r.measured) {
		r.through = false
	}
	r.measured = measured
	if err := r.report(); err != nil {
		return sight{}, err
	}
	if !r.through { // what was reported up to now may be older than what was read
		r.through, r.since, r.later = s.left == 0 && s.doubt == "", 0, map[string]int64{}
	}
	r.judge(&s)
	return s, nil
}

// judge takes what the queues show.
func (r *rsyslog) judge(s *sight) {
	if len(r.queues) == 0 {
		s.pending = join(s.pending, "no core.queue in "+r.stats.path+": impstats needs format=\"json\"")
		return
	}
	rounds, waiting := int64(math.MaxInt64), int64(0)
	for _, name := range slices.Sorted(maps.Keys(r.queues)) {
		q := r.queues[name]
		rounds = min(rounds, r.later[name])
		waiting += q.size
		s.failed[0] += q.discarded
		s.growing = append(s.growing, q.enqueued)
		if !r.withFiles {
			s.inputs = append(s.inputs, q.enqueued)
		}
	}
	for _, n := range r.failed {
		s.failed[1] += n
	}
	s.slow = r.reports.advice(`interval="1" of impstats`)
	if !r.withFiles {
		s.made = rounds // of each queue two reports must agree
	}
	if s.left == 0 && waiting > 0 {
		s.left, s.unit = waiting, Records
	}
	if rounds == 0 {
		s.unconfirmed = "no later statistics in " + r.stats.path
	}
}

// report reads what impstats has written since the last look. The first line
// after the files were read does not count as later: its numbers may have been
// taken before, but those of the next ones were taken after it was written.
func (r *rsyslog) report() error {
	lines, err := r.stats.lines()
	if err != nil {
		return err
	}
	for _, line := range lines {
		if len(line) == 0 {
			continue
		}
		r.take(line)
		r.since++
	}
	return nil
}

// take reads a line of statistics.
func (r *rsyslog) take(line []byte) {
	stat, ok := parseStats(line)
	switch {
	case !ok:
	case stat.Origin == "impstats": // once in each block
		r.reports.take(time.ANSIC, line)
	case stat.Origin == "core.action":
		r.failed[stat.Name] = stat.Failed
	case stat.Origin == "core.queue" && stat.Size != nil && *stat.Size >= 0:
		r.queues[stat.Name] = queue{*stat.Size, stat.Enqueued, stat.Full + stat.NearFull}
		if r.through && r.since > 0 {
			r.later[stat.Name]++
		}
	}
}

// advance takes how far imfile is with each file. Its state files are found by
// inode: the name in one is that from before the rotation.
func (r *rsyslog) advance(files []*file, s *sight) error {
	dir, err := openState(r.state)
	if err != nil {
		return err
	}
	defer dir.close()
	states, err := newestStates(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		target := f.size - f.tail
		if f.tail > 0 {
			s.note = join(s.note, fmt.Sprintf("%s ends without a newline: rsyslog does not send its last %d bytes", f.name, f.tail))
		}
		if f.reached < target {
			s.doubt = join(s.doubt, reach(dir, states[f.inode], f))
		}
		s.left += max(0, target-f.reached)
	}
	return nil
}

// reach takes how far imfile is with a file, or returns why that is unknown.
func reach(dir *stateDir, name string, f *file) (unknown string) {
	if name == "" {
		return "imfile has no state of " + f.name
	}
	data, _, err := dir.read(name)
	if err != nil {
		return err.Error()
	}
	at, err := parseImfile(data)
	if err != nil {
		return name + ": " + err.Error()
	}
	if at > f.size {
		return "the state of " + f.name + " is of a longer file that had its inode"
	}
	f.reached = at
	return ""
}

// newestStates are imfile's state files by inode. A file that has grown beyond its
// first 512 bytes gets a new one, and an inode may have been another file's.
func newestStates(dir *stateDir) (map[uint64]string, error) {
	entries, err := dir.list()
	if err != nil {
		return nil, err
	}
	names, written := map[uint64]string{}, map[uint64]time.Time{}
	for _, e := range entries {
		inode, ok := imfileInode(e.Name())
		if !ok {
			continue
		}
		info, err := e.Info()
		if err != nil {
			continue // replaced meanwhile: the next look has it
		}
		if names[inode] == "" || info.ModTime().After(written[inode]) {
			names[inode], written[inode] = e.Name(), info.ModTime()
		}
	}
	return names, nil
}

// imfileInode is the inode in the name of a state file, imfile-state:INODE[:HASH].
func imfileInode(name string) (uint64, bool) {
	rest, ok := strings.CutPrefix(name, "imfile-state:")
	if !ok {
		return 0, false
	}
	number, _, _ := strings.Cut(rest, ":")
	inode, err := strconv.ParseUint(number, 10, 64)
	return inode, err == nil
}

// parseImfile returns where in the file the first line begins that imfile has not
// submitted.
func parseImfile(data []byte) (int64, error) {
	var state struct {
		Start *int64 `json:"strt_offs"`
	}
	if err := json.Unmarshal(data, &state); err != nil {
		return 0, errors.New("torn or no JSON")
	}
	if state.Start == nil || *state.Start < 0 {
		return 0, errors.New("no strt_offs")
	}
	return *state.Start, nil
}

// stats are the members of a line of impstats that count.
type stats struct {
	Name     string `json:"name"`
	Origin   string `json:"origin"`
	Size     *int64 `json:"size"`
	Enqueued int64  `json:"enqueued"`
	Full     int64  `json:"discarded.full"`
	NearFull int64  `json:"discarded.nf"`
	Failed   int64  `json:"failed"`
}

// parseStats reads a line of impstats: JSON, after a date.
func parseStats(line []byte) (s stats, ok bool) {
	i := bytes.IndexByte(line, '{')
	return s, i >= 0 && json.Unmarshal(line[i:], &s) == nil && s.Name != ""
}
