package publish

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"koboshi/artifacts"
	"koboshi/artifacts/lint"
	"koboshi/artifacts/tree"
)

func elf(machine byte) string {
	return "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 11) + string([]byte{machine, 0}) + "code"
}

// A hook that no instance could execute is found before anything is packed.
func TestPrograms(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"a script":                 {"#!/bin/sh\n", ""},
		"a script by env":          {"#! /usr/bin/env python3\n", ""},
		"a program":                {elf(62), ""},
		"one of another platform":  {elf(183), "another platform than linux/amd64"},
		"a text":                   {"echo hello\n", "neither #!"},
		"nothing":                  {"", "neither #!"},
		"half a header":            {elf(62)[:19], "neither #!"},
		"Windows":                  {"#!/bin/sh\r\necho\r\n", "carriage return"},
		"no interpreter":           {"#!\n", "names no interpreter"},
		"one in the tree":          {"#!venv/bin/python -u\n", ""},
		"one that is not there":    {"#!venv/bin/python3\n", "venv/bin/python3 is not in the tree"},
		"one by current":           {"#!/opt/koboshi/web/current/venv/bin/python\n", ""},
		"none by current":          {"#!/opt/koboshi/web/current/bin/python\n", "is not in the tree"},
		"one that may not execute": {"#!/opt/koboshi/web/current/data\n", "is not in the tree"},
		"one that climbs":          {"#!../bin/python\n", "is not in the tree"},
	} {
		t.Run(name, func(t *testing.T) {
			top := t.TempDir()
			must(t, os.MkdirAll(filepath.Join(top, "venv/bin"), 0o755))
			for path, file := range map[string]struct {
				text string
				mode os.FileMode
			}{"venv/bin/python": {elf(62), 0o755}, "data": {"x", 0o644}, "hook": {tt.text, 0o755}} {
				must(t, os.WriteFile(filepath.Join(top, path), []byte(file.text), file.mode))
			}
			must(t, os.Symlink("hook", filepath.Join(top, "link")))
			for _, opt := range []Options{
				{Platform: "linux/amd64", Hooks: artifacts.Hooks{PostStart: []string{"link", "x"}}},
				{Platform: "linux/amd64", Health: artifacts.Health{Command: []string{"hook"}}},
			} {
				in, err := Read(t.Context(), top, opt)
				must(t, err)
				var found []lint.Finding
				for _, f := range in.Findings() {
					if f.Check == lint.Program {
						found = append(found, f)
					}
				}
				if (tt.want == "") != (len(found) == 0) || len(found) > 0 && (!strings.Contains(found[0].Text, tt.want) || found[0].Hint == "") {
					t.Errorf("%+v, want %q", found, tt.want)
				}
				_, err = in.Pack(t.Context(), "linux/amd64")
				if tt.want != "" {
					wantIs(t, err, tree.ErrRefused)
				}
				must(t, in.Close())
			}
		})
	}
}
