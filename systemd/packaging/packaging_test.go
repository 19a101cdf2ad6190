// Package packaging_test checks the files that are stored here against the code
// that reads them: user data, example configuration, role policy, SSM document.
package packaging_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"koboshi/agent/config"
)

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestExampleConfiguration(t *testing.T) {
	if _, err := config.Parse(config.File{Name: "koboshi.toml", Data: []byte(read(t, "koboshi.toml"))}); err != nil {
		t.Error(err)
	}
}

// TestUserData checks as much of YAML as cloud-config needs here: blocks by
// even indentation, no tabs, "key:" or "- item" outside of literal blocks.
func TestUserData(t *testing.T) {
	names, err := filepath.Glob("userdata/*.yaml")
	if err != nil || len(names) != 2 {
		t.Fatalf("%v (%v), want two files", names, err)
	}
	for _, name := range names {
		for _, fault := range faults(read(t, name)) {
			t.Errorf("%s: %s", name, fault)
		}
	}
}

func faults(text string) (out []string) {
	if !strings.HasPrefix(text, "#cloud-config\n") {
		out = append(out, "does not begin with #cloud-config")
	}
	if len(text) > 16<<10 {
		out = append(out, "is larger than EC2 takes")
	}
	literal := -1 // the indentation of a literal block's key
	for line := range strings.Lines(text) {
		content := strings.TrimLeft(line, " ")
		indent := len(line) - len(content)
		content = strings.TrimRight(content, "\n")
		if content == "" || literal >= 0 && indent > literal {
			continue
		}
		literal = -1
		key, value, isKey := strings.Cut(strings.TrimPrefix(content, "- "), ":")
		switch {
		case strings.HasPrefix(content, "#"):
			continue
		case indent%2 != 0 || strings.Contains(line, "\t"):
			out = append(out, "is indented unevenly: "+line)
		case !strings.HasPrefix(content, "- [") && (!isKey || strings.ContainsAny(key, " \"'") || value != "" && value[0] != ' '):
			out = append(out, "is no key or item: "+line)
		}
		if value == " |" {
			literal = indent
		}
	}
	return out
}

func TestUserDataFaultsAreSeen(t *testing.T) {
	for _, bad := range []string{
		"#!/bin/sh\n",
		"#cloud-config\nruncmd:\n\t- [true]\n",
		"#cloud-config\nwrite_files:\n - path: /x\n",
		"#cloud-config\nwrite_files:\n  - path:/x\n",
		"#cloud-config\nwrite_files:\n  - content: |\n    app = \"web\"\n  x = 1\n",
	} {
		if len(faults(bad)) == 0 {
			t.Errorf("nothing is wrong with %q", bad)
		}
	}
}

// What user data writes has to be a drop-in of the example.
func TestUserDataConfigures(t *testing.T) {
	_, block, ok := strings.Cut(read(t, "userdata/configure.yaml"), "    content: |\n")
	if !ok {
		t.Fatal("no content")
	}
	var dropIn strings.Builder
	for line := range strings.Lines(block) {
		dropIn.WriteString(strings.TrimPrefix(line, "      "))
	}
	cfg, err := config.Parse(
		config.File{Name: "koboshi.toml", Data: []byte(read(t, "koboshi.toml"))},
		config.File{Name: "10-user-data.toml", Data: []byte(dropIn.String())},
	)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Channel != "canary" || cfg.Lifecycle.Group != "web-blue" {
		t.Errorf("channel %s, group %s", cfg.Channel, cfg.Lifecycle.Group)
	}
}

// The topic shows the user data as it is stored here, but for the comments.
func TestTopicShowsUserData(t *testing.T) {
	topic := read(t, "../../cmd/koboshi/help/ami.md")
	for _, name := range []string{"userdata/start.yaml", "userdata/configure.yaml"} {
		var shown strings.Builder
		for line := range strings.Lines(read(t, name)) {
			if !strings.HasPrefix(line, "# ") {
				shown.WriteString(line)
			}
		}
		if !strings.Contains(topic, "```yaml\n"+shown.String()+"```\n") {
			t.Errorf("the topic does not show %s", name)
		}
	}
}
