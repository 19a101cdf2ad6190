package flush

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// cloudWatch reads the state files of the CloudWatch agent: one for each log, with
// the ranges of it that the service has accepted. They are written in place, so a
// torn one is read again. Batches are sent in parallel: a later one may be
// accepted first, which leaves a gap.
type cloudWatch struct{ state string }

func (c *cloudWatch) look(_ context.Context, files []*file) (sight, error) {
	dir, err := openState(c.state)
	if err != nil {
		return sight{}, err
	}
	defer dir.close()
	s := sight{unit: Bytes}
	for _, f := range files {
		if f.size > 0 && f.reached < f.size {
			s.doubt = join(s.doubt, c.advance(dir, f))
		}
		s.left += f.size - f.reached
	}
	return s, nil
}

// advance takes how far the agent is with a file from its state, or returns why
// that is unknown. The state has no inode: it counts only while the name leads to
// this file, and where it was written after the file was.
func (c *cloudWatch) advance(dir *stateDir, f *file) (unknown string) {
	data, info, err := dir.read(cloudWatchState(f.name))
	if !f.at() { // asked when the state was read: it may be of the next file
		return f.name + " was renamed or deleted: the agent forgets such a file"
	}
	if errors.Is(err, fs.ErrNotExist) {
		return "the agent has no state of " + f.name
	}
	if err != nil {
		return err.Error()
	}
	of, to, err := parseCloudWatch(data)
	switch {
	case err != nil:
		return cloudWatchState(f.name) + ": " + err.Error()
	case of != f.name:
		return fmt.Sprintf("%s is the state of %s", cloudWatchState(f.name), of)
	case to > f.size:
		return "the state of " + f.name + " is of a longer file that had its name"
	case to == f.size && info.ModTime().Before(f.modified):
		return "the state of " + f.name + " is older than its last line"
	}
	f.reached = to
	return ""
}

// cloudWatchState is the name of the state file of a log.
func cloudWatchState(log string) string {
	return strings.NewReplacer("/", "_", " ", "_", ":", "_").Replace(log)
}

// parseCloudWatch reads a state file: the highest offset, the log's path, and since
// 2025 the accepted ranges, "0-500,700-900". It returns up to where everything was
// accepted.
func parseCloudWatch(data []byte) (log string, accepted int64, err error) {
	lines := bytes.Split(bytes.TrimRight(data, "\n"), []byte("\n"))
	if len(lines) < 2 || len(lines) > 3 {
		return "", 0, errors.New("not two or three lines")
	}
	highest, err := strconv.ParseInt(string(lines[0]), 10, 64)
	if err != nil || highest < 0 {
		return "", 0, errors.New("no offset")
	}
	if len(lines) == 2 {
		return string(lines[1]), highest, nil
	}
	accepted, last, err := parseRanges(string(lines[2]))
	if err == nil && last != highest {
		err = errors.New("the ranges do not end at the highest offset")
	}
	return string(lines[1]), accepted, err
}

// parseRanges returns where the range from 0 on ends, 0 if there is none, and
// where the last one does.
func parseRanges(text string) (accepted, last int64, err error) {
	for i, part := range strings.Split(text, ",") {
		from, to, _ := strings.Cut(part, "-")
		start, err1 := strconv.ParseInt(from, 10, 64)
		end, err2 := strconv.ParseInt(to, 10, 64)
		if err1 != nil || err2 != nil || start < last || end <= start || i > 0 && start == last {
			return 0, 0, errors.New("not a list of ranges")
		}
		if start == 0 {
			accepted = end
		}
		last = end
	}
	return accepted, last, nil
}
