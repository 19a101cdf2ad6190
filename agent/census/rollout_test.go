package census

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket/buckettest"
)

var release2 = Release{"stable", "2", artifacts.Sum([]byte("2"))}

// fleetOf is a bucket with records such as "i-1 2 ok 5m": instance, version, state, age.
func fleetOf(t *testing.T, records ...string) Listing {
	t.Helper()
	m := buckettest.NewMemory()
	for _, line := range records {
		f := strings.Fields(line)
		age, err := time.ParseDuration(f[3])
		if err != nil {
			t.Fatal(err)
		}
		put(t, m, noon.Add(-age), func(r *Record) {
			r.Instance, r.Version, r.ManifestSHA256, r.State = f[0], f[1], artifacts.Sum([]byte(f[1])), State(f[2])
		})
	}
	m.SetClock(func() time.Time { return noon })
	l, err := Survey(t.Context(), m, "stable")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestJudge(t *testing.T) {
	for name, c := range map[string]struct {
		records []string
		want    string
	}{
		"nothing":                         {nil, "0 good, 0 young, failed []"},
		"good and young":                  {[]string{"i-1 2 ok 10m", "i-2 2 ok 9m59s", "i-3 1 ok 1h"}, "1 good, 1 young, failed []"},
		"a failure":                       {[]string{"i-1 2 ok 10m", "i-2 2 failed 1m"}, "1 good, 0 young, failed [i-2]"},
		"one that it recovered from":      {[]string{"i-1 2 failed 20m", "i-1 2 ok 11m"}, "1 good, 0 young, failed []"},
		"one that came later":             {[]string{"i-1 2 ok 20m", "i-1 2 failed 11m"}, "0 good, 0 young, failed [i-1]"},
		"one that went back":              {[]string{"i-1 2 ok 20m", "i-1 1 ok 11m"}, "0 good, 0 young, failed []"},
		"gone":                            {[]string{"i-1 2 ok 20m", "i-1 2 gone 11m"}, "0 good, 0 young, failed []"},
		"a failure that was replaced":     {[]string{"i-1 2 failed 20m", "i-1 2 gone 11m"}, "0 good, 0 young, failed [i-1]"},
		"a failure of another release":    {[]string{"i-1 1 failed 20m"}, "0 good, 0 young, failed []"},
		"within one second":               {[]string{"i-1 2 ok 20m", "i-1 2 failed 20m"}, "0 good, 0 young, failed [i-1]"},
		"failed, went back, and was gone": {[]string{"i-1 2 failed 20m", "i-1 1 ok 12m", "i-1 1 gone 11m"}, "0 good, 0 young, failed []"},
	} {
		p := fleetOf(t, c.records...).Judge(release2, 10*time.Minute, noon)
		if got := fmt.Sprintf("%d good, %d young, failed %v", p.Good, p.Young, p.Bad()); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	other := release2
	other.Manifest = artifacts.Sum([]byte("other bytes"))
	if p := fleetOf(t, "i-1 2 ok 1h", "i-2 2 failed 1h").Judge(other, 0, noon); p.Good > 0 || len(p.Failed) > 0 {
		t.Errorf("the same version with another manifest: %+v", p)
	}
}

// A group may have instances of another channel, which are not in this one's rollout.
func TestOnly(t *testing.T) {
	m := buckettest.NewMemory()
	for i, channel := range []string{"stable", "canary", "stable"} {
		put(t, m, noon.Add(time.Duration(i)*time.Minute), func(r *Record) { r.Instance, r.Channel, r.Version = fmt.Sprintf("i-%d", i), channel, "2" })
	}
	put(t, m, noon.Add(time.Hour), func(r *Record) { r.Instance, r.Channel, r.Version = "i-2", "canary", "2" }) // it went on to there
	l, err := Survey(t.Context(), m, "")
	if err != nil {
		t.Fatal(err)
	}
	members := map[string]Member{"i-0": {}, "i-1": {}, "i-2": {}, "i-new": {}}
	l = l.Only("stable", members)
	r := l.Progress(pointer("1"), members, noon)
	if len(l.Newest) != 1 || r.Instances != 2 || r.Unknown != 2 {
		t.Errorf("%+v of %v, %+v", l, members, r)
	}
}

func TestProgress(t *testing.T) {
	p := pointer("1")
	var records []string
	in := 0
	for i := range 40 {
		id := fmt.Sprintf("i-%08x", i)
		version, state := "1", "ok"
		if artifacts.Member("web", "stable", "2", id, 50) {
			in++
			version = "2"
			switch in {
			case 1:
				state = "failed"
			case 2:
				version = "1"
			}
		}
		records = append(records, fmt.Sprintf("%s %s %s 1m", id, version, state))
	}
	records = append(records, "i-gone 2 gone 1m", "i-lost 2 failed 2m", "i-lost 2 gone 1m")
	l := fleetOf(t, records...)
	if r := l.Progress(p, nil, noon); r.Version != "1" || r.From != "" || r.In != 40 || r.Percent != 100 || r.Instances != 40 || r.OK != 40-in+1 || r.Failed != 0 || r.Unknown != in-1 {
		t.Errorf("without a rollout: %+v", r)
	}
	p.Next = &artifacts.Next{Version: "2", ManifestSHA256: release2.Manifest, Percent: 50}
	r := l.Progress(p, nil, noon)
	if r.In != in || r.OK != in-2 || r.Unknown != 1 || r.Failed != 2 || r.Instances != 40 || r.From != "1" || r.Version != "2" {
		t.Errorf("%d are in: %+v", in, r)
	}
	// Members that have no record are unknown, and records of others count no more.
	r = l.Progress(p, map[string]Member{"i-00000000": {}, "i-00000001": {}, "i-0000ffff": {}}, noon)
	if r.Instances != 3 || r.In > 3 || r.OK+r.Unknown > r.In {
		t.Errorf("%+v", r)
	}
	p.Next.Percent = 100
	if r = l.Progress(p, map[string]Member{"i-new": {}}, noon); r.In != 1 || r.Unknown != 1 {
		t.Errorf("%+v", r)
	}
}
