package publish

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"koboshi/artifacts"
	"koboshi/artifacts/lint"
	"koboshi/artifacts/tree"
)

// command is what a release brings to be run.
type command struct {
	name string
	argv []string
}

func commandsOf(hooks artifacts.Hooks, check artifacts.Health) (all []command) {
	for _, c := range []command{
		{"hooks.pre_start", hooks.PreStart}, {"hooks.post_start", hooks.PostStart}, {"hooks.pre_stop", hooks.PreStop},
		{"health.command", check.Command},
	} {
		if len(c.argv) > 0 {
			all = append(all, c)
		}
	}
	return all
}

// machines are the numbers of platforms in an ELF header.
var machines = map[string]uint16{"linux/amd64": 62, "linux/arm64": 183}

// firstBytes is more than the kernel reads of a program to find out how to run it.
const firstBytes = 512

// checkPrograms finds commands that are in the tree and that no instance could
// execute.
func (in *Input) checkPrograms() error {
	commands := commandsOf(in.hooks, in.opt.Health)
	if len(commands) == 0 {
		return nil
	}
	b := bundle{list: in.list, paths: in.list.byPath()}
	for _, c := range commands {
		name := resolve(b.paths, c.argv[0])
		if runnable(b.paths, c.argv[0]) != nil {
			continue // Release says so
		}
		head, err := b.read(name, firstBytes)
		if err != nil {
			return err
		}
		if why, hint := b.fault(head, in.opt.Platform); why != "" {
			in.findings = append(in.findings, lint.Finding{Level: lint.Error, Check: lint.Program, Path: c.argv[0], Text: fmt.Sprintf("cannot be executed for %s: %s", c.name, why), Hint: hint})
		}
	}
	return nil
}

// fault is why a program that begins like this cannot be executed.
func (b bundle) fault(head []byte, platform string) (why, hint string) {
	if script, ok := bytes.CutPrefix(head, []byte("#!")); ok {
		line, _, _ := strings.Cut(string(script), "\n")
		return b.scriptFault(line)
	}
	if len(head) < 20 || !bytes.HasPrefix(head, []byte("\x7fELF")) {
		return "it has neither #! in its first line nor the form of a program", "begin a script with #!/bin/sh or another interpreter"
	}
	if want := machines[platform]; want != 0 && binary.LittleEndian.Uint16(head[18:]) != want {
		return "it is built for another platform than " + platform, "build it with the platform's own compiler, or GOARCH="
	}
	return "", ""
}

// scriptFault is about the line after #!.
func (b bundle) scriptFault(line string) (why, hint string) {
	if strings.HasSuffix(line, "\r") {
		return "its first line ends in a carriage return", `convert its line ends: sed -i 's/\r$//'`
	}
	words := strings.Fields(line)
	if len(words) == 0 {
		return "its first line names no interpreter", "begin a script with #!/bin/sh or another interpreter"
	}
	inside, isInside := words[0], !strings.HasPrefix(words[0], "/") // from the tree, in which it runs
	if _, rest, found := strings.Cut(words[0], "/current/"); found {
		inside, isInside = rest, true
	}
	if clean, err := tree.CleanPath(inside); isInside && (err != nil || runnable(b.paths, clean) != nil) {
		return fmt.Sprintf("its interpreter %s is not in the tree", tree.Clip(words[0])), "publish the interpreter with it, or name one of the machine's"
	}
	return "", ""
}
