package main

import (
	"strings"
	"testing"
	"unicode/utf8"

	"koboshi/agent/config"
)

// At a terminal no line of the configuration is wider than it, and in a pipe every
// setting is a line.
func TestConfigShowFits(t *testing.T) {
	cfg, err := config.Parse(config.File{Name: "/etc/koboshi/koboshi.toml", Data: []byte(`
		app = "web"
		source = ["s3://acme-releases/apps?region=eu-west-1", "s3://acme-releases-replica/apps?region=eu-central-1"]
		trust.keys = ["/etc/koboshi/keys/release.pub", "/etc/koboshi/keys/second.pub", "/etc/koboshi/keys/third.pub"]
		service.unit = "web.service"
		health.url = "http://127.0.0.1:8080/healthz"`)})
	must(t, err)
	terminal, _, written := aTerminal(t, 80)
	c := &cli{ui: newUI(terminal, terminal)}
	must(t, c.showSettings(cfg))
	shown := written()
	for line := range strings.SplitSeq(shown, "\r\n") {
		if n := utf8.RuneCountInString(line); n >= 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	var out strings.Builder
	c = &cli{ui: newUI(&out, &out)}
	must(t, c.showSettings(cfg))
	if got, want := strings.Count(out.String(), "\n"), len(cfg.Settings()); got != want {
		t.Errorf("%d lines in a pipe, want %d", got, want)
	}
	if words := strings.Fields(shown); strings.Join(words, " ") != strings.Join(strings.Fields(out.String()), " ") {
		t.Errorf("a terminal is shown something else than a pipe: %s", shown)
	}
}
