package main

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"koboshi/agent/failure"
	"koboshi/artifacts"
)

func TestBehaviour(t *testing.T) {
	b := behaviour{
		hooks:  []string{"pre_start=bin/migrate  --expand a=b", "pre_stop=bin/drain"},
		health: []string{"url=http://127.0.0.1:8080/ready?x=1", "timeout=90s", "bake=500ms", "status=200-299,404"},
	}
	hooks, health, err := b.parse()
	if want := (artifacts.Hooks{PreStart: []string{"bin/migrate", "--expand", "a=b"}, PreStop: []string{"bin/drain"}}); err != nil || !reflect.DeepEqual(hooks, want) {
		t.Errorf("hooks %+v (%v), want %+v", hooks, err, want)
	}
	if want := (artifacts.Health{
		URL: "http://127.0.0.1:8080/ready?x=1", Status: "200-299,404", Timeout: artifacts.Duration(90 * time.Second), Bake: artifacts.Duration(500 * time.Millisecond),
	}); !reflect.DeepEqual(health, want) {
		t.Errorf("health %+v, want %+v", health, want)
	}
}

func TestBehaviourIsRefused(t *testing.T) {
	for want, b := range map[string]behaviour{
		"want pre_start, post_start or pre_stop": {hooks: []string{"postinstall=bin/x"}},
		"want a command":                         {hooks: []string{"pre_start= "}},
		"pre_start is given twice":               {hooks: []string{"pre_start=bin/a", "pre_start=bin/b"}},
		"not a path inside the tree":             {hooks: []string{"pre_stop=../bin/a"}},
		"want KEY=VALUE":                         {health: []string{"url"}},
		"want url, status, tcp, command":         {health: []string{"Url=http://x/"}},
		"tcp is given twice":                     {health: []string{"tcp=127.0.0.1:1", "tcp=127.0.0.1:2"}},
		"want statuses from 200 to 599":          {health: []string{"status=ok"}},
		"status: goes with a url only":           {health: []string{"status=204", "tcp=127.0.0.1:1"}},
		"only an instance's configuration":       {health: []string{"host=www.example.com"}},
		"port \"80800\", want 1 to 65535":        {health: []string{"url=http://127.0.0.1:80800/"}},
		"want more than 0s":                      {health: []string{"bake=-1s"}},
		"missing unit in duration":               {health: []string{"timeout=5"}},
		"at most one of url, tcp and command":    {health: []string{"tcp=127.0.0.1:1", "command=bin/a"}},
	} {
		if _, _, err := b.parse(); !errors.Is(err, failure.ErrUsage) || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want a usage error with %q", b, err, want)
		}
	}
}
