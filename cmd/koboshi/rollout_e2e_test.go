//go:build e2e

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"koboshi/artifacts"
)

// TestE2EKilledPromotion kills promotions with SIGKILL at each of their calls, before it
// has reached the store and after. The channel points to a whole release then: to the
// one before, or to the one that it was to be; its history leads to what it points to;
// and the promotion can be repeated.
func TestE2EKilledPromotion(t *testing.T) {
	l := newLab(t)
	l.release("1", 0)
	l.release("2", 0)
	l.publish("3", l.tree("3", 0))
	for _, kind := range [][]string{
		{"--version", "3"}, {"--version", "3", "--percent", "50"}, {"--previous"}, {"--abort"},
	} {
		if kind[0] == "--abort" {
			l.publisher("promote", "--channel", "stable", "--version", "3", "--percent", "50")
		}
		before := l.channel()
		killed, ended := 0, false
		for n := 0; !ended; n++ {
			for _, after := range []bool{false, true} {
				l.restore(before)
				ended = !l.killedPromotion(n, after, kind...)
				if ended {
					break
				}
				killed++
				l.leads(before)
				if kind[0] != "--abort" || l.pointed().Next != nil { // else there is nothing left to drop
					version := kind
					if kind[0] == "--previous" { // what was before is another one by now, where it was done
						version = []string{"--version", "1"}
					}
					l.publisher(append([]string{"promote", "--channel", "stable"}, version...)...)
				}
				l.leads(before)
			}
		}
		t.Logf("%s: killed %d times, at %d calls, each before and after", strings.Join(kind, " "), killed, killed/2)
		if killed < 10 {
			t.Errorf("%v was killed %d times only", kind, killed)
		}
		l.restore(before)
	}
}

// killedPromotion kills a promotion at its nth call, counted from 0, before or after the
// store has answered; false where it makes fewer calls.
func (l *lab) killedPromotion(n int, after bool, args ...string) bool {
	l.Helper()
	_, killed := killedAt(l.T, l.aws.URL(), n+1, after, func(endpoint string) *exec.Cmd {
		cmd := exec.Command(l.koboshi, append([]string{"promote", "--channel", "stable", "--source", "s3://releases/apps", "--app", "web", "--key", l.dir + "/release.key"}, args...)...)
		cmd.Env = []string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + l.dir, "AWS_ENDPOINT_URL=" + endpoint, "AWS_REGION=us-east-1",
			"AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY=secret",
		}
		return cmd
	})
	return killed
}

const channelKeys = "apps/web/channels/"

// channel is every object of the channels.
func (l *lab) channel() map[string][]byte {
	all := map[string][]byte{}
	for _, key := range l.aws.S3().Keys("releases") {
		if data, found := l.aws.S3().Object("releases", key); found && strings.HasPrefix(key, channelKeys) {
			all[key] = data
		}
	}
	return all
}

// restore puts the channels back to what they were.
func (l *lab) restore(to map[string][]byte) {
	for key := range l.channel() {
		if to[key] == nil {
			l.aws.S3().Delete("releases", key)
		}
	}
	for key, data := range to {
		l.aws.S3().Put("releases", key, data)
	}
}

func (l *lab) verifier() artifacts.Trust {
	l.Helper()
	data, err := os.ReadFile(filepath.Join(l.dir, "release.pub"))
	must(l.T, err)
	keys, err := artifacts.ParsePublicKeys(data)
	must(l.T, err)
	trust, err := artifacts.NewTrust(version, 1, keys...)
	must(l.T, err)
	return trust
}

// pointed is what the channel points to.
func (l *lab) pointed() artifacts.Pointer {
	l.Helper()
	data, _ := l.aws.S3().Object("releases", channelKeys+"stable.json")
	p, err := l.verifier().Pointer(data, "web", "stable")
	must(l.T, err)
	return p.Pointer()
}

// leads asserts that the channel points to whole releases, and that a verified entry of
// its history is about its pointer.
func (l *lab) leads(before map[string][]byte) {
	l.Helper()
	trust := l.verifier()
	data, _ := l.aws.S3().Object("releases", channelKeys+"stable.json")
	p, err := trust.Pointer(data, "web", "stable")
	must(l.T, err)
	key := artifacts.MoveKey("stable", p.Sequence())
	entry, found := l.aws.S3().Object("releases", "apps/web/"+key)
	if m, err := trust.Move(entry, "web", "stable", key); !found || err != nil || m.Move().To.At() != p.Sequence() {
		l.Errorf("sequence %d is not in the history: %v", p.Sequence().Number, err)
	}
	for _, instance := range []string{"", memberOf(p.Pointer(), true), memberOf(p.Pointer(), false)} {
		ref := p.Choose(instance)
		manifest, _ := l.aws.S3().Object("releases", "apps/web/"+artifacts.ManifestKey(ref.Version))
		m, err := trust.Manifest(manifest, ref)
		must(l.T, err)
		for _, a := range m.Manifest().Artifacts {
			object, _ := l.aws.S3().Object("releases", "apps/web/"+a.Key)
			must(l.T, artifacts.CheckSum(a.Key, object, a.Size, a.SHA256))
		}
	}
	for key := range before {
		if data, found := l.aws.S3().Object("releases", key); strings.Contains(key, "/history/") && (!found || string(data) != string(before[key])) {
			l.Errorf("%s was changed", key)
		}
	}
}

// memberOf is an instance that is in a rollout, or not; "" where there is none such.
func memberOf(p artifacts.Pointer, in bool) string {
	for n := range 1000 {
		if id := fmt.Sprintf("i-%017x", n); p.InRollout(id) == in {
			return id
		}
	}
	return ""
}
