package main

import (
	"slices"
	"testing"
	"time"
)

const withRecords = patient + "[fleet]\nreport = true\n"

// TestFleetRecords launches a tenth of a fleet of 1,000 that writes health records: one
// request each, and nothing that a launch has is later or more for it.
func TestFleetRecords(t *testing.T) {
	bare := fleet{name: "100 launches without records", launches: 100, share: 0.1, settings: patient}.run(t)
	o := fleet{name: "100 launches with records", launches: 100, share: 0.1, settings: withRecords}.run(t)
	o.modest(t)
	if puts := o.tallies["PutObject"]; puts == nil || puts.calls != o.launches {
		t.Errorf("%+v, want a record each", puts)
	}
	if !slices.Equal(o.ready, bare.ready) {
		t.Errorf("in service after %s at most, without records after %s", slices.Max(o.ready), slices.Max(bare.ready))
	}
	for name, tally := range bare.tallies {
		if o.tallies[name].calls != tally.calls {
			t.Errorf("%s: %d calls, without records %d", name, o.tallies[name].calls, tally.calls)
		}
	}
}

// TestFleetRecordsCannotBeWritten has S3 fail every write: all come into service all the same,
// at the same time, and none tries for longer than ten seconds.
func TestFleetRecordsCannotBeWritten(t *testing.T) {
	f := fleet{name: "100 launches whose records fail", launches: 100, share: 0.1, settings: withRecords, outage: "s3 put"}
	o := f.run(t)
	o.whole(t)
	puts := o.tallies["PutObject"]
	if puts == nil || puts.failed == 0 || puts.calls > o.launches*maxAttempts {
		t.Errorf("%+v", puts)
	}
	if most := slices.Max(o.ready); most > 2*time.Minute {
		t.Errorf("in service after %s", most)
	}
}
