package lint

import (
	"bytes"
	"encoding/binary"
	"path"
	"slices"
	"strings"

	"koboshi/artifacts/tree"
)

// maxHead is how many bytes of a file are read.
const maxHead = 64 << 10

const secretHint = "--exclude it; an app gets its secrets when it starts: LoadCredential= in its unit, or a parameter store" //nolint:gosec // no secret

// contents checks the first bytes of a file that could be a script, a key or
// compiled Python.
func (c *checker) contents(i int) error {
	f := &c.tree.Files[i]
	if f.Type != tree.TypeFile || f.Size == 0 || f.Unreadable != "" {
		return nil
	}
	name := path.Base(f.Path)
	source, key := c.sourceOf(f.Path), keyName(name)
	if source == nil && !key && (f.Was|f.Mode)&anyoneRuns == 0 {
		return nil
	}
	head := c.buf[:min(maxHead, f.Size)]
	if !key && len(head) > firstLook { // most of what may be executed is no script
		head = head[:firstLook]
	}
	n, err := c.tree.Head(i, head)
	if err != nil {
		return err
	}
	switch head = head[:n]; {
	case source != nil:
		c.pyc(f, source, head)
	case key && bytes.Contains(head, []byte("PRIVATE KEY-----")):
		c.note(Warning, "secret", f.Path, secretHint, "holds a private key")
	case bytes.HasPrefix(head, []byte("#!")):
		if n, err = c.tree.Head(i, c.buf[:min(maxHead, f.Size)]); err != nil {
			return err
		}
		c.script(f, string(c.buf[:n]))
	}
	return nil
}

const firstLook = 512

// pyc reports compiled Python that is bound to the time and size of its source
// (PEP 552: flags of zero) where the source on an instance has others.
func (c *checker) pyc(f, source *File, head []byte) {
	if len(head) < 16 || binary.LittleEndian.Uint32(head[4:]) != 0 {
		return
	}
	if !c.tree.KeepTimes {
		c.note(Warning, "stale-pyc", f.Path, "python3 -m compileall -f --invalidation-mode unchecked-hash, or --keep-times, or --exclude __pycache__",
			"is bound to the time of its source, which is another on an instance: Python compiles again at every start")
		return
	}
	modified, size := binary.LittleEndian.Uint32(head[8:]), binary.LittleEndian.Uint32(head[12:])
	if modified != uint32(source.Time) || size != uint32(source.Size) { //nolint:gosec // as Python cuts them
		c.note(Warning, "stale-pyc", f.Path, "compile after the last change to its source, or --exclude __pycache__",
			"was compiled from a source of another time or size: Python compiles again at every start")
	}
}

// sourceOf is the source next to which name is compiled Python; nil where it is
// none.
func (c *checker) sourceOf(name string) *File {
	dir, base := path.Split(name)
	module, _, _ := strings.Cut(base, ".")
	above, cached := strings.CutSuffix(dir, "__pycache__/")
	if !cached || !strings.HasSuffix(base, ".pyc") {
		return nil
	}
	source := c.paths[above+module+".py"]
	for source != nil && source.Type == tree.TypeHardlink {
		source = c.paths[source.Link]
	}
	return source
}

// machines are where builds run: a path below one of them is on no instance.
var machines = [...]string{
	"/home/", "/root/", "/tmp/", "/Users/", "/builds/", "/github/", "/workspace/", "/codebuild/",
	"/opt/hostedtoolcache/", "/var/lib/jenkins/", "/var/lib/buildkite-agent/",
}

func (c *checker) script(f *File, text string) {
	interpreter := interpreterOf(text)
	switch {
	case strings.HasSuffix(interpreter, "\r"):
		c.note(Warning, "interpreter", f.Path, "convert its line ends: sed -i 's/\\r$//'", "its first line ends in a carriage return: it cannot be executed")
	case strings.Contains(interpreter, "/current/"):
		c.note(Warning, "interpreter", f.Path, "right for the app, and for hooks with service.unit; without units a hook is better started as: bin/python3 bin/script", "runs by %s, which instances without systemd refuse as a pre_start hook", interpreter)
	case c.builtAt(interpreter) || slices.ContainsFunc(machines[:], func(m string) bool { return strings.HasPrefix(interpreter, m) }):
		c.note(Warning, "interpreter", f.Path, "build at the path it will have, /opt/koboshi/APP/current, or start it as: bin/python3 bin/script", "runs by %s, which is on the build machine", interpreter)
	case c.builtAt(text):
		c.note(Warning, "build-path", f.Path, "let it find itself, for example by $(dirname \"$0\"), or build at /opt/koboshi/APP/current", "names %s, which is on the build machine", c.tree.Built)
	}
}

// interpreterOf is the program that a script's first line names. Where the path
// was too long for that line, installers write it into the second.
func interpreterOf(script string) string {
	first, rest, _ := strings.Cut(strings.TrimPrefix(script, "#!"), "\n")
	if second, long := strings.CutPrefix(rest, "'''exec' "); long {
		first = strings.Trim(strings.SplitN(second, " ", 2)[0], `"`)
	}
	first = strings.TrimLeft(first, " \t")
	if end := strings.IndexAny(first, " \t"); end >= 0 {
		return first[:end]
	}
	return first
}

// builtAt reports whether a text names the directory that the tree was built in,
// and not one that only begins like it.
func (c *checker) builtAt(text string) bool {
	if c.tree.Built == "" || strings.HasSuffix(c.tree.Built, "/current") {
		return false
	}
	for {
		_, after, found := strings.Cut(text, c.tree.Built)
		if !found {
			return false
		}
		if after == "" || !strings.ContainsAny(after[:1], pathLetters) {
			return true
		}
		text = after
	}
}

const pathLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-."
