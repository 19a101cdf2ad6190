package prune

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/buckettest"
	"koboshi/artifacts/publish"
	"koboshi/artifacts/retire"
)

func TestOurNames(t *testing.T) {
	sum := artifacts.Sum([]byte("x"))
	for _, app := range []string{"web", "a-b", "w-linux"} {
		for _, f := range []artifacts.Format{artifacts.TarZst, artifacts.TarGz, artifacts.File, artifacts.Erofs, artifacts.Squashfs} {
			for _, key := range []string{
				artifacts.ArtifactKey(app, "1.0", "linux", "amd64", sum, f), artifacts.IndexKey(app, "1.0", "linux", "arm64", sum),
				artifacts.DeltaKey(app, "1.0", "linux", "amd64", "0.9-rc.1+x-from-y", sum), artifacts.ChunkListKey(app, "1.0", "linux", "amd64", sum),
			} {
				if _, name, ok := split(key); !ok || !ours(app, name) {
					t.Errorf("%s of %s is not ours", key, app)
				}
			}
		}
	}
	short := sum.Short()
	for _, name := range []string{
		"", "web", "notes.txt", "web-linux-amd64", "web-linux-amd64-" + short[:11], "web-linux-amd64-" + strings.ToUpper(short), "web-linux-amd64-" + short + "x",
		"web-linux-amd64-" + short + ".", "web-linux-amd64-" + short + ".tar.ZST", "web-linux-amd64-" + short + "/x", "web-linux-" + short, "web-" + short,
		"web-linux-amd64-from-" + short + ".delta", "web-linux-amd64-from-a/b-" + short + ".delta", "api-linux-amd64-" + short + ".tar.zst", "web-Linux-amd64-" + short, "web-linux-amd64-" + short + ".tar zst", "manifest.json", retire.Name,
	} {
		if ours("web", name) {
			t.Errorf("%q is ours", name)
		}
	}
	for key, want := range map[string]bool{"releases/1.0/x": true, "releases/x": false, "releases/../x": false, "releases//x": false, "releases/1.0/": true, "releases/a b/x": false} {
		if _, _, ok := split(key); ok != want {
			t.Errorf("%q: %v", key, ok)
		}
	}
}

// What stays, and why.
func TestRules(t *testing.T) {
	w := newWorld(t)
	for i := range 10 {
		w.release(fmt.Sprintf("%d.0", i), time.Duration(10-i)*100*time.Hour)
	}
	w.release("9.1", time.Minute, "7.0")
	w.release("8.1", 150*time.Hour)
	w.promote("stable", "1.0")
	w.promote("canary", "2.0")
	p := w.promotion("canary", "3.0")
	p.Percent = 10
	_, err := publish.Promote(t.Context(), w.bucket, p)
	must(t, err)
	_, err = Keep(t.Context(), w.bucket, "web", "0.0", "operator", false)
	must(t, err)
	w.bucket.Replace(artifacts.ManifestKey("broken"), []byte("{}"))
	w.bucket.Replace("releases/half/web-linux-amd64-0123456789ab", []byte("half"))
	w.bucket.Replace("releases/readme.txt", []byte("x"))
	w.bucket.Replace("releases/4.0/note\x1b[2J", []byte("x"))
	o := rules()
	o.Keep, o.Carried = 2, map[string]string{"4.0": "ami-1"}
	o.MinAge = 120 * time.Hour
	w.bucket.SetClock(func() time.Time { return time.Now().Add(110 * time.Hour) }) // what is there is 110 h old
	plan, err := Look(t.Context(), w.bucket, o)
	must(t, err)
	var got []string
	for _, r := range plan.Releases {
		got = append(got, fmt.Sprintf("%s %s: %s", r.Version, r.Action, r.Why))
	}
	want := []string{
		"0.0 keep: koboshi releases keep", "1.0 keep: channel stable points to it", "2.0 keep: channel canary points to it", "3.0 keep: channel canary rolls it out",
		"4.0 keep: ami-1 carries it", "5.0 keep: it is younger than 120h0m0s", "6.0 keep: it is younger than 120h0m0s", "7.0 keep: it is younger than 120h0m0s",
		"8.0 keep: it is younger than 120h0m0s", "8.1 keep: it is younger than 120h0m0s", "9.0 keep: it is one of the newest 2", "9.1 keep: it is one of the newest 2",
		"broken keep: its manifest or mark cannot be read", "half keep: it has no manifest: a publish is under way, or broke off",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if want := []string{"releases/4.0/note\x1b[2J", "releases/readme.txt"}; plan.Unknowns != 2 || !slices.Equal(plan.Unknown, want) {
		t.Errorf("%d unknown: %q", plan.Unknowns, plan.Unknown)
	}
	o.MinAge = 100 * time.Hour // both times are older by now
	plan, err = Look(t.Context(), w.bucket, o)
	must(t, err)
	if got := actions(plan); got != "0.0=keep 1.0=keep 2.0=keep 3.0=keep 4.0=keep 5.0=mark 6.0=mark 7.0=keep 8.0=mark 8.1=mark 9.0=keep 9.1=keep broken=keep half=keep" {
		t.Errorf("got %s", got)
	}
	for _, r := range plan.Releases {
		if r.Version == "7.0" && r.Why != "a delta of 9.1 starts from it" || r.Version == "5.0" && (r.Objects != 3 || r.Bytes == 0 || r.Strangers != 0) || r.Version == "4.0" && r.Strangers != 1 {
			t.Errorf("%+v", r)
		}
	}
}

// What a channel pointed to before stays, for a rollback; not what was before that.
func TestPreviousStays(t *testing.T) {
	w := newWorld(t)
	for i, v := range []string{"1.0", "2.0", "3.0"} {
		w.release(v, time.Duration(1000-i)*time.Hour)
	}
	for _, v := range []string{"1.0", "2.0", "3.0", "3.0"} {
		w.promote("stable", v)
	}
	plan, err := Look(t.Context(), w.bucket, rules())
	must(t, err)
	if got := actions(plan); got != "1.0=mark 2.0=keep 3.0=keep" || plan.Releases[1].Why != "channel stable pointed to it before" {
		t.Errorf("%s: %s", got, plan.Releases[1].Why)
	}
	w.bucket.Fail(buckettest.Fault{Op: buckettest.List, Key: artifacts.MovesPrefix("stable"), Err: bucket.ErrDenied})
	if _, err := Look(t.Context(), w.bucket, rules()); !errors.Is(err, bucket.ErrDenied) {
		t.Errorf("a history that is denied: %v", err)
	}
	w.bucket.Heal()
	for _, key := range w.keys() {
		if strings.HasPrefix(key, artifacts.MovesPrefix("stable")) {
			w.bucket.Replace(key, []byte("{}"))
		}
	}
	plan, err = Look(t.Context(), w.bucket, rules())
	must(t, err)
	if got := actions(plan); got != "1.0=mark 2.0=mark 3.0=keep" {
		t.Errorf("without a history: %s", got)
	}
}

// A whole life: marked, waiting, removed; what is not koboshi's stays.
func TestMarkAndSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.shop()
		foreign := []string{"releases/1.0/notes.txt", "releases/1.0/sub/web-linux-amd64-0123456789ab", "releases/2.0/x"}
		for _, key := range foreign {
			w.bucket.Replace(key, []byte("x"))
		}
		before := w.keys()
		w.bucket.Replace("releases/1.0/web-linux-amd64-0123456789ab.tar.zst", []byte("an upload that broke off"))
		for _, step := range []struct {
			wait time.Duration
			want string
			now  retire.State
		}{
			{0, "1.0=mark 2.0=keep", retire.Marked}, {24*time.Hour - time.Second, "1.0=wait 2.0=keep", retire.Marked},
			{time.Second, "1.0=sweep 2.0=keep", retire.Gone}, {1000 * time.Hour, "1.0=keep 2.0=keep", retire.Gone},
		} {
			<-time.After(step.wait)
			if got := actions(w.mustPrune(rules())); got != step.want || w.state("1.0") != step.now {
				t.Errorf("got %s and %q, want %s and %q", got, w.state("1.0"), step.want, step.now)
			}
		}
		var left []string
		for _, key := range before {
			if version, name, ok := split(key); !ok || version != "1.0" || name == "notes.txt" || strings.Contains(name, "/") {
				left = append(left, key)
			}
		}
		left = append(left, retire.Key("1.0"))
		slices.Sort(left)
		if got := w.keys(); !slices.Equal(got, left) {
			t.Errorf("left\n%q, want\n%q", got, left)
		}
	})
}

// The manifest is the last that is deleted, after everything else, and a dry run writes nothing.
func TestOrderOfDeletes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.shop()
		w.mustPrune(rules())
		<-time.After(24 * time.Hour)
		puts, deletes := w.bucket.Calls(buckettest.Put, ""), w.bucket.Calls(buckettest.Delete, "")
		if _, err := Look(t.Context(), w.bucket, rules()); err != nil || w.bucket.Calls(buckettest.Put, "") != puts || w.bucket.Calls(buckettest.Delete, "") != deletes {
			t.Errorf("a look has written: %v", err)
		}
		w.bucket.Fail(buckettest.Fault{Op: buckettest.Delete, Key: artifacts.ManifestKey("1.0"), Err: bucket.ErrDenied})
		_, err := w.prune(w.bucket, rules())
		if !errors.Is(err, bucket.ErrDenied) || w.state("1.0") != retire.Sweeping {
			t.Errorf("%v, %q", err, w.state("1.0"))
		}
		for _, key := range w.keys() {
			if _, name, ok := split(key); ok && strings.HasPrefix(key, "releases/1.0/") && name != "manifest.json" && name != retire.Name {
				t.Errorf("%s is there while the manifest is deleted", key)
			}
		}
		w.bucket.Heal()
		if got := actions(w.mustPrune(rules())); got != "1.0=sweep 2.0=keep" || w.state("1.0") != retire.Gone {
			t.Errorf("then %s, %q", got, w.state("1.0"))
		}
	})
}

// What a rule keeps by now loses its mark; what is kept by hand is never marked.
func TestMarksAreTakenOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.shop()
		w.mustPrune(rules())
		<-time.After(48 * time.Hour)
		o := rules()
		o.Carried = map[string]string{"1.0": "ami-1"}
		if got := actions(w.mustPrune(o)); got != "1.0=unmark 2.0=keep" || w.state("1.0") != retire.Unmarked {
			t.Errorf("%s, %q", got, w.state("1.0"))
		}
		w.mustPrune(rules())
		for _, undo := range []bool{false, false} {
			if _, err := Keep(t.Context(), w.bucket, "web", "1.0", "operator", undo); err != nil {
				t.Error(err)
			}
		}
		<-time.After(48 * time.Hour)
		if got := actions(w.mustPrune(rules())); got != "1.0=keep 2.0=keep" || w.state("1.0") != retire.Kept {
			t.Errorf("%s, %q", got, w.state("1.0"))
		}
		if was, err := Keep(t.Context(), w.bucket, "web", "1.0", "operator", true); err != nil || was != retire.Kept || w.state("1.0") != retire.Unmarked {
			t.Errorf("%q, %v", was, err)
		}
		if got := actions(w.mustPrune(rules())); got != "1.0=mark 2.0=keep" {
			t.Error(got)
		}
		if _, err := Keep(t.Context(), w.bucket, "web", "1.0", "operator", true); !errors.Is(err, retire.ErrState) {
			t.Errorf("undo of what is marked: %v", err)
		}
	})
}

func TestKeepRefuses(t *testing.T) {
	w := newWorld(t)
	w.shop()
	if _, err := Keep(t.Context(), w.bucket, "web", "9.0", "operator", false); !errors.Is(err, bucket.ErrNotFound) {
		t.Errorf("unknown: %v", err)
	}
	for _, s := range []retire.State{retire.Marked, retire.Sweeping, retire.Gone} {
		found, err := retire.Read(t.Context(), w.bucket, "web", "1.0")
		must(t, err)
		m, err := found.To(s, "web", "1.0", "test", time.Now())
		must(t, err)
		_, err = retire.Write(t.Context(), w.bucket, m, found)
		must(t, err)
		if s == retire.Marked {
			continue
		}
		if _, err := Keep(t.Context(), w.bucket, "web", "1.0", "operator", false); !errors.Is(err, retire.ErrRetired) || w.state("1.0") != s {
			t.Errorf("%s: %v", s, err)
		}
	}
	for _, version := range []string{"../1", ""} {
		if _, err := Keep(t.Context(), w.bucket, "web", version, "operator", false); err == nil {
			t.Errorf("%q was kept", version)
		}
	}
}

// Not knowing keeps everything.
func TestPruneRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(w *world, o *Options)
		want  error
	}{
		"a channel that is none": {func(w *world, _ *Options) { w.bucket.Replace(artifacts.PointerKey("broken"), []byte("{}")) }, ErrChannel},
		"channels that are denied": {func(w *world, _ *Options) {
			w.bucket.Fail(buckettest.Fault{Op: buckettest.List, Key: "channels/", Err: bucket.ErrDenied})
		}, bucket.ErrDenied},
		"releases that are denied": {func(w *world, _ *Options) {
			w.bucket.Fail(buckettest.Fault{Op: buckettest.List, Key: "releases/", Err: bucket.ErrDenied})
		}, bucket.ErrDenied},
		"a store without conditions":  {func(w *world, _ *Options) { w.bucket.IgnoreConditions() }, retire.ErrStore},
		"a probe that is denied":      {func(w *world, _ *Options) { w.bucket.Fail(buckettest.Fault{Op: buckettest.Put, Err: bucket.ErrDenied}) }, retire.ErrStore},
		"a grace of an hour":          {func(_ *world, o *Options) { o.Grace = time.Hour }, nil},
		"less than nothing":           {func(_ *world, o *Options) { o.Keep = -1 }, nil},
		"an app of another directory": {func(_ *world, o *Options) { o.App = "../web" }, nil},
		"a mark of a newer koboshi":   {func(w *world, _ *Options) { w.bucket.Replace(retire.Key("1.0"), []byte(`{"schema":2}`)) }, errStays},
		"a mark that is none":         {func(w *world, _ *Options) { w.bucket.Replace(retire.Key("1.0"), []byte(`{}`)) }, errStays},
		"a manifest that is none":     {func(w *world, _ *Options) { w.bucket.Replace(artifacts.ManifestKey("1.0"), []byte(`{}`)) }, errStays},
		"a manifest of another version": {func(w *world, _ *Options) {
			w.bucket.Replace(artifacts.ManifestKey("1.0"), w.bucket.Bytes(artifacts.ManifestKey("2.0")))
		}, errStays},
	} {
		w := newWorld(t)
		w.shop()
		o := rules()
		c.spoil(w, &o)
		before := strings.Join(w.objects(), "\n")
		p, err := w.prune(w.bucket, o)
		if c.want == errStays { //nolint:errorlint // it marks a row of the table
			if err != nil || actions(p) != "1.0=keep 2.0=keep" {
				t.Errorf("%s: %v", name, err)
			}
		} else if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		w.bucket.Heal()
		if now := strings.Join(w.objects(), "\n"); now != before {
			t.Errorf("%s: something was written:\n%s\nwas\n%s", name, now, before)
		}
	}
}

var errStays = errors.New("it stays")

// objects are the keys with what is stored.
func (w *world) objects() (all []string) {
	for _, key := range w.keys() {
		all = append(all, key+" "+artifacts.Sum(w.bucket.Bytes(key)).Short())
	}
	return all
}

// A store that does not say what time it is, and a directory, which has the machine's.
func TestClocks(t *testing.T) {
	w := newWorld(t)
	w.shop()
	if _, err := Look(t.Context(), undated{w.bucket}, rules()); !errors.Is(err, retire.ErrStore) {
		t.Errorf("without a Date: %v", err)
	}
	o := rules()
	o.Local = time.Now
	if _, err := Look(t.Context(), undated{w.bucket}, o); err != nil {
		t.Errorf("with the machine's clock: %v", err)
	}
}

// undated is a store whose answers have no Date.
type undated struct{ *buckettest.Memory }

func (u undated) List(ctx context.Context, prefix string) iter.Seq2[bucket.Object, error] {
	return func(yield func(bucket.Object, error) bool) {
		for object, err := range u.Memory.List(ctx, prefix) {
			object.Date = time.Time{}
			if !yield(object, err) {
				return
			}
		}
	}
}

// A channel that points to what is being removed can only have been written by other
// means: nothing more is deleted.
func TestTorn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.shop()
		w.promote("old", "1.0")
		pointer := w.bucket.Bytes(artifacts.PointerKey("old"))
		w.bucket.Drop(artifacts.PointerKey("old"))
		w.mustPrune(rules())
		<-time.After(24 * time.Hour)
		w.bucket.Fail(buckettest.Fault{Op: buckettest.Delete, Skip: 1, Err: bucket.ErrDenied}) // the probe's
		_, err := w.prune(w.bucket, rules())
		if err == nil {
			t.Fatal("nothing failed")
		}
		w.bucket.Heal()
		w.bucket.Replace(artifacts.PointerKey("old"), pointer)
		before := len(w.keys())
		_, err = w.prune(w.bucket, rules())
		if torn, ok := errors.AsType[*TornError](err); !ok || torn.Version != "1.0" || len(w.keys()) != before {
			t.Errorf("%v, %d objects of %d", err, len(w.keys()), before)
		}
	})
}

// TestTenThousand: versions without number are listed once, and little is kept of each.
func TestTenThousand(t *testing.T) {
	const versions, most = 10_000, 512 // bytes in memory for each
	w := newWorld(t)
	w.shop()
	for i := range versions {
		v := fmt.Sprintf("0.%05d", i)
		found := retire.Found{}
		m, err := found.To(retire.Marked, "web", v, "test", time.Now())
		must(t, err)
		_, err = retire.Write(t.Context(), w.bucket, m, found)
		must(t, err)
	}
	before := heapInUse()
	p, err := Look(t.Context(), w.bucket, rules())
	must(t, err)
	took := heapInUse() - before
	if len(p.Releases) != versions+2 || w.bucket.Calls(buckettest.List, "releases/") != 1 || w.bucket.Calls(buckettest.Get, retire.Key("0.00000")) != 0 {
		t.Errorf("%d releases, %d lists", len(p.Releases), w.bucket.Calls(buckettest.List, ""))
	}
	t.Logf("%d versions take %d bytes", versions, took)
	if took > versions*most {
		t.Errorf("%d versions take %d bytes, want at most %d each", versions, took, most)
	}
	runtime.KeepAlive(p)
}

func heapInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) //nolint:gosec // a heap fits
}
