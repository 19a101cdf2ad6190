//go:build e2e

package main

import (
	"bytes"
	"encoding/json"
	"image/png"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/census"
	"koboshi/agent/report"
	"koboshi/artifacts"
)

// recordFiles are the health records in a directory, with the instance left out.
func recordFiles(t *testing.T, dir string) (all []string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		rest, found := strings.CutPrefix(filepath.ToSlash(path), filepath.ToSlash(dir)+"/apps/web/health/")
		if err == nil && !d.IsDir() && found {
			release, name, _ := strings.Cut(rest, "/i-")
			_, state, _ := strings.Cut(name, ".")
			all = append(all, release[:len(release)-13]+" "+state)
		}
		return err
	}))
	slices.Sort(all)
	return all
}

// TestE2EFleetGateway has an instance write its records to a real S3 server, and the
// release side read them there.
func TestE2EFleetGateway(t *testing.T) {
	l := newLab(t)
	addr, dir := startGateway(t)
	for name, value := range map[string]string{"AWS_ENDPOINT_URL_S3": "http://" + addr, "AWS_ACCESS_KEY_ID": "user", "AWS_SECRET_ACCESS_KEY": "password", "AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": l.aws.URL()} {
		t.Setenv(name, value)
	}
	side := func(code int, args ...string) string {
		t.Helper()
		r := runCommand(t, l.dir, append(os.Environ(), "HOME="+l.dir), l.koboshi, append(args, "--source", "s3://releases/apps", "--app", "web")...)
		if int(r.code) != code {
			t.Fatalf("koboshi %s: exit %d, want %d\n%s", strings.Join(args, " "), r.code, code, r.output)
		}
		return r.output
	}
	for _, v := range []string{"1", "2"} {
		side(0, "publish", "--version", v, "--key", "release.key", l.tree(v, 0))
	}
	side(0, "promote", "--channel", "stable", "--version", "1", "--key", "release.key")
	b := l.launch(autoscaling.LaunchOptions{})
	b.override("20-fleet", "[fleet]\nreport = true\n")
	on := func(args ...string) {
		t.Helper()
		env := append(b.env(), "AWS_ENDPOINT_URL_S3=http://"+addr, "AWS_ACCESS_KEY_ID=user", "AWS_SECRET_ACCESS_KEY=password")
		runCommand(t, b.world.dir, env, b.koboshi, b.args(args...)...).want(t, 0)
	}
	on("boot")
	on("sync")
	if got := recordFiles(t, dir); !slices.Equal(got, []string{"stable/1 ok.json"}) {
		t.Errorf("records %q", got)
	}
	if said := side(0, "fleet", "--group", "web"); !strings.Contains(said, b.instance.ID()) || !strings.Contains(said, ": 1 ok\n") {
		t.Errorf("the fleet is\n%s", said)
	}
	side(0, "promote", "--channel", "stable", "--version", "2", "--percent", "99", "--key", "release.key")
	on("sync")
	want := []string{"stable/1 ok.json", "stable/2 ok.json"}
	if !artifacts.Member("web", "stable", "2", b.instance.ID(), 99) {
		want = want[:1]
	}
	if got := recordFiles(t, dir); !slices.Equal(got, want) {
		t.Errorf("records %q, want %q", got, want)
	}
	if len(want) == 2 {
		if said := side(0, "rollout", "status", "--channel", "stable", "--json"); !strings.Contains(said, `"ok": 1,`) {
			t.Errorf("the rollout is\n%s", said)
		}
		side(1, "promote", "--channel", "stable", "--version", "2", "--percent", "100", "--require-healthy", "--min", "1", "--key", "release.key")
		side(0, "promote", "--channel", "stable", "--version", "2", "--percent", "100", "--require-healthy", "--min", "1", "--healthy-for", "0s", "--key", "release.key")
	}
}

// thousand stores a record each of so many instances of two groups, a tenth with older ones.
func (l *lab) thousand(n int) []string {
	l.Helper()
	must(l.T, l.aws.CreateGroup(autoscaling.Group{Name: "web-2", Desired: n / 2}))
	must(l.T, l.aws.SetDesired("web", n/2))
	var ids []string
	for i, instance := range l.aws.Instances() {
		ids = append(ids, instance.ID())
		l.record(instance.ID(), "1", census.OK, i)
		if i%10 == 0 {
			l.record(instance.ID(), "2", census.OK, i)
		}
	}
	return ids
}

func (l *lab) record(id, version string, s census.State, node int) {
	l.Helper()
	rec := census.Record{
		App: "web", Channel: "stable", Instance: id, Version: version, ManifestSHA256: artifacts.Sum([]byte(version)), State: s, Verdict: report.Current,
		Since: time.Now().Add(-time.Hour), NodeID: &node, Group: "web", AZ: "us-east-1a", Boot: &census.Boot{MS: 12345}, Agent: version, At: time.Now(),
	}
	text, err := rec.Encode()
	must(l.T, err)
	l.aws.S3().Put("releases", "apps/web/"+rec.Subject().Key(), text)
}

func (l *lab) sideEnv() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + l.dir, "AWS_ENDPOINT_URL=" + l.aws.URL(), "AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=id", "AWS_SECRET_ACCESS_KEY=secret"}
}

// TestE2EFleetOfAThousand counts what a look at 1,000 instances costs: at first, again,
// and when one has changed.
func TestE2EFleetOfAThousand(t *testing.T) {
	l := newLab(t)
	l.release("1", 0)
	ids := l.thousand(1000)
	look := func(gets int) {
		t.Helper()
		l.aws.Calls().Reset()
		began := time.Now()
		r := runCommand(t, l.dir, l.sideEnv(), l.koboshi, "fleet", "--source", "s3://releases/apps", "--app", "web", "--group", "web", "--group", "web-2", "--json")
		took := time.Since(began)
		r.want(t, 0)
		var v census.View
		text := r.output[max(0, strings.Index(r.output, "{\n")):] // the SDK may warn of a connection that it has closed
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatalf("%v: %.500s", err, r.output)
		}
		lists, got, described := 0, 0, 0
		for _, c := range l.aws.Calls().All() {
			switch {
			case c.Operation == "ListObjectsV2":
				lists++
			case c.Operation == "GetObject" && strings.Contains(c.Path, "/health/"):
				got++
			case c.Operation == "DescribeAutoScalingGroups":
				described++
			}
		}
		t.Logf("1,000 instances: %s, %d lists, %d records read, %d descriptions of groups", took.Round(10*time.Millisecond), lists, got, described)
		if len(v.Rows) != 1000 || lists > 10 || got != gets || described < 2 {
			t.Errorf("%d rows, %d lists, %d records read (want %d), %d descriptions", len(v.Rows), lists, got, gets, described)
		}
	}
	look(1000)
	look(0)
	l.record(ids[7], "1", census.Failed, 7)
	look(1)
}

// browse runs Debian's chromium, which apt has as chromium-headless-shell, without network.
func browse(t *testing.T, page string, args ...string) string {
	t.Helper()
	browser := "chromium-headless-shell"
	if _, err := exec.LookPath(browser); err != nil {
		if browser, err = exec.LookPath("chromium"); err != nil {
			t.Fatalf("this test needs a browser: apt-get install chromium-headless-shell (%v)", err)
		}
		args = append(args, "--headless")
	}
	args = append(args, "--no-sandbox", "--disable-gpu", "--no-first-run", "--user-data-dir="+t.TempDir(), "--host-resolver-rules=MAP * ~NOTFOUND", "--window-size=1280,900", "file://"+page)
	cmd := exec.CommandContext(t.Context(), browser, args...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", browser, err, said.String())
	}
	return out.String()
}

// TestE2EFleetPage looks at the page with a browser: what hostile records say is text
// there, and the page is readable by day and by night.
func TestE2EFleetPage(t *testing.T) {
	l := newLab(t)
	l.release("1", 0)
	ids := l.thousand(20)
	const evil = `<script>document.title='owned'</script><img src=x onerror="document.title='owned'">"'></td></table>`
	rec := census.Record{
		App: "web", Channel: "stable", Instance: ids[0], Version: "1", ManifestSHA256: artifacts.Sum([]byte("1")), State: census.Failed, Verdict: "failed", Code: 20,
		Why: evil + "\u202egnirts", Group: evil, AZ: evil, Agent: evil, At: time.Now(),
	}
	text, err := rec.Encode()
	must(t, err)
	l.aws.S3().Put("releases", "apps/web/"+rec.Subject().Key(), bytes.Replace(text, []byte("gnirts"), []byte(`\u202egnirts\u001b[31m`), 1))
	page := filepath.Join(l.dir, "fleet.html")
	runCommand(t, l.dir, l.sideEnv(), l.koboshi, "fleet", "--source", "s3://releases/apps", "--app", "web", "--html", page).want(t, 0)
	dom := browse(t, page, "--dump-dom")
	for _, bad := range []string{"<script", "<img", "\u202e", "\x1b", "<title>owned"} {
		if strings.Contains(dom, bad) {
			t.Errorf("the document has %q", bad)
		}
	}
	for _, want := range []string{"<title>web: fleet</title>", "&lt;script&gt;document.title='owned'&lt;/script&gt;", "gnirts"} {
		if !strings.Contains(dom, want) {
			t.Errorf("the document lacks %q", want)
		}
	}
	if rows := strings.Count(dom, "<tr>"); rows != 21 { // and the head
		t.Errorf("%d rows, want 21", rows)
	}
	for scheme, dark := range map[string]bool{"1": false, "0": true} {
		shot := filepath.Join(l.dir, "shot.png")
		browse(t, page, "--blink-settings=preferredColorScheme="+scheme, "--screenshot="+shot)
		background, colours := look(t, shot)
		if background < 0x40 != dark || colours < 20 {
			t.Errorf("scheme %s: the background is %d of 255, with %d colours", scheme, background, colours)
		}
	}
}

// look is how light the corner of a picture is, 0 to 255, and how many colours it has.
func look(t *testing.T, name string) (background uint32, colours int) {
	t.Helper()
	f, err := os.Open(name)
	must(t, err)
	defer func() { _ = f.Close() }()
	picture, err := png.Decode(f)
	must(t, err)
	seen := map[[3]uint32]bool{}
	for y := picture.Bounds().Min.Y; y < picture.Bounds().Max.Y; y += 2 {
		for x := picture.Bounds().Min.X; x < picture.Bounds().Max.X; x += 2 {
			r, g, b, _ := picture.At(x, y).RGBA()
			seen[[3]uint32{r >> 8, g >> 8, b >> 8}] = true
		}
	}
	r, g, b, _ := picture.At(2, 2).RGBA()
	return (r>>8 + g>>8 + b>>8) / 3, len(seen)
}
