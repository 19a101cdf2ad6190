package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"koboshi/agent/census"
	"koboshi/agent/failure"
	"koboshi/agent/report"
	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/buckettest"
)

// A bar is as wide as the terminal lets it be, and what it counts is said on each.
func TestRolloutFits(t *testing.T) {
	r := census.Rollout{Channel: "stable", From: "1.0.0", Version: "2.0.0", Percent: 50, Instances: 40, In: 20, OK: 19, Failed: 1, Bad: []string{"i-1"}}
	for _, columns := range []int{0, 20, 40, 60, 80, 200} {
		var out strings.Builder
		newUI(&out, &out).showRollout(r, columns)
		for _, want := range []string{"20 of 40 instances", "19 of 20", "1 of 20", "0 of 20 no record of it"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%d columns: no %q in\n%s", columns, want, out.String())
			}
		}
		for line := range strings.Lines(out.String()) {
			if n := utf8.RuneCountInString(strings.TrimSpace(line)); strings.ContainsAny(line, "█░") && n >= columns {
				t.Errorf("%d columns: a line of %d: %s", columns, n, line)
			}
		}
		if bars := strings.Contains(out.String(), "█"); bars != (columns >= 40) {
			t.Errorf("%d columns: bars %v in\n%s", columns, bars, out.String())
		}
	}
}

// An instance that failed and is gone is not one of those that are in.
func TestRolloutCountsWhatIsGone(t *testing.T) {
	var out strings.Builder
	newUI(&out, &out).showRollout(census.Rollout{Channel: "stable", From: "1.0.0", Version: "2.0.0", Percent: 50, Instances: 2, In: 1, OK: 1, Failed: 1, Bad: []string{"i-1"}}, 80)
	for _, want := range []string{"█ 1 of 1\n", "░ 1 of 2 instances, 1 gone or not in\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

// Waiting for an hour: enough of them come, too few, or one fails.
func TestRequireHealthyWaits(t *testing.T) {
	key, err := artifacts.GenerateKey()
	must(t, err)
	data := []byte("#!/bin/sh\n")
	a := artifacts.Artifact{OS: "linux", Arch: "amd64", Format: artifacts.File, Size: int64(len(data)), SHA256: artifacts.Sum(data), UnpackedBytes: int64(len(data)), Entries: 1}
	a.Key = artifacts.ArtifactKey("web", "2.0.0", a.OS, a.Arch, a.SHA256, a.Format)
	manifest, err := artifacts.Manifest{Schema: 1, App: "web", Version: "2.0.0", Created: time.Unix(1e9, 0).UTC(), Artifacts: []artifacts.Artifact{a}}.Sign(key)
	must(t, err)
	for name, c := range map[string]struct {
		good int           // instances that are healthy from 25 min on, one a minute
		bad  time.Duration // when another one fails, 0 = never
		took time.Duration
		want string // error
	}{
		"enough":  {good: 3, took: 37 * time.Minute},
		"too few": {good: 2, took: time.Hour, want: "2.0.0 is healthy on 2 instances of channel stable for 10 min 00 s, want 3"},
		"failed":  {good: 3, bad: 30 * time.Minute, took: 30 * time.Minute, want: "2.0.0 failed on 1 instance of channel stable: i-0bad"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := buckettest.NewMemory()
				_, err := m.Put(t.Context(), artifacts.ManifestKey("2.0.0"), bytes.NewReader(manifest), int64(len(manifest)), bucket.Condition{})
				must(t, err)
				write := func(after time.Duration, id string, s census.State) {
					time.AfterFunc(after, func() {
						if err := census.Put(t.Context(), m, census.Record{App: "web", Channel: "stable", Instance: id, Version: "2.0.0", ManifestSHA256: artifacts.Sum(manifest), State: s, Verdict: report.Current, At: time.Now()}); err != nil {
							t.Error(err)
						}
					})
				}
				for i := range c.good {
					write(25*time.Minute+time.Duration(i)*time.Minute, fmt.Sprintf("i-%08d", i), census.OK)
				}
				if c.bad > 0 {
					write(c.bad, "i-0bad", census.Failed)
				}
				var said bytes.Buffer
				o := promoteOptions{channel: "stable", version: "2.0.0", healthy: healthyFlags{required: true, least: 3, since: 10 * time.Minute, wait: time.Hour}}
				o.app = "web"
				began := time.Now()
				err = (&cli{ui: newUI(&said, &said)}).requireHealthy(t.Context(), m, o)
				if took := time.Since(began); took < c.took || took > c.took+lookEvery {
					t.Errorf("it took %s, want %s", took, c.took)
				}
				if got := fmt.Sprint(err); c.want == "" && err != nil || got[:min(len(got), len(c.want))] != c.want {
					t.Errorf("got %v, want %q", err, c.want)
				}
				if c.want != "" && !errors.Is(err, failure.ErrFound) {
					t.Errorf("%v is not a finding", err)
				}
				if n, minutes := strings.Count(said.String(), "\n"), int(c.took/time.Minute); n < minutes || n > minutes+8 { // each minute, and each change
					t.Errorf("%d lines were said:\n%s", n, said.String())
				}
			})
		})
	}
}
