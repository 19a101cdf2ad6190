package lint

import (
	"io/fs"
	"path"
	"strings"

	"koboshi/artifacts/tree"
)

const specialBits = fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

// file makes the checks of a path for which it need not be read.
func (c *checker) file(f *File) {
	c.kind(f)
	c.mode(f)
	c.attributes(f)
	if f.Sparse {
		c.note(Warning, "sparse", f.Path, "create it at the first start of the app, in StateDirectory=", "has holes, which become zeros: it takes %d bytes on every disk", f.Size)
	}
	switch name := path.Base(f.Path); {
	case name == ".git" || name == ".hg" || name == ".svn":
		c.note(Warning, "vcs", f.Path, "publish what the build made, or --exclude it", "is version control: its whole history would be on every instance")
	case secretName(name, f.Path):
		c.note(Warning, "secret", f.Path, secretHint, "is named like a file of secrets")
	}
}

func (c *checker) kind(f *File) {
	switch {
	case f.Unreadable != "":
		c.note(Error, "unreadable", f.Path, "make it readable for the user that publishes", "cannot be read: %s", f.Unreadable)
	case f.Type == "":
		c.note(Error, "special", f.Path, "--exclude it; what an app needs of this kind is made by its unit: ListenFIFO=, ListenStream=, DeviceAllow=", "is %s, neither a file, a directory nor a link", kindOf(f.Was))
	case f.Type == tree.TypeFile && f.Was&specialBits != 0:
		c.note(Error, "setuid", f.Path, "chmod u-s,g-s,-t; privileges come from the app's unit: User=, AmbientCapabilities=", "has the setuid, setgid or sticky bit")
	}
}

func kindOf(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeNamedPipe != 0:
		return "a FIFO"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeCharDevice != 0:
		return "a character device"
	case mode&fs.ModeDevice != 0:
		return "a block device"
	}
	return "something else"
}

// Permissions of others: the app's user is neither root nor in its group.
const (
	othersRead = 0o004
	othersRun  = 0o001
	anyoneRuns = 0o111
)

// mode compares what the publisher's machine allows with what an instance will.
// Everything belongs to root there.
func (c *checker) mode(f *File) {
	if f.Type != tree.TypeFile && f.Type != tree.TypeDir || secretName(path.Base(f.Path), f.Path) {
		return
	}
	was, will := f.Was.Perm(), f.Mode
	switch {
	case was&anyoneRuns != 0 && will&othersRun == 0:
		c.note(Warning, "mode", f.Path, "chmod -R a+rX it, and build with umask 022", "has mode %04o: only root may execute it on an instance", was)
	case was&othersRead == 0:
		c.note(Warning, "mode", f.Path, "chmod -R a+rX it if everyone may read it; a secret does not belong into a release", "has mode %04o, and will have %04o: every user of an instance may read it", was, will)
	}
}

// attributes reports what is lost. Labels of SELinux are the file system's own.
func (c *checker) attributes(f *File) {
	for _, name := range f.Attributes {
		switch {
		case name == "security.capability":
			c.note(Warning, "capability", f.Path, "AmbientCapabilities= in the app's unit, for example CAP_NET_BIND_SERVICE", "has file capabilities, which are lost")
		case strings.HasPrefix(name, "system.posix_acl"):
			c.note(Warning, "attribute", f.Path, "everything in a release belongs to root and is readable: do without an ACL", "has an ACL, which is lost")
		case strings.HasPrefix(name, "user."):
			c.note(Warning, "attribute", f.Path, "keep it in a file of its own", "has the extended attribute %q, which is lost", name)
		}
	}
}

// NoModes is the finding about an archive that has no permissions.
func NoModes() Finding {
	return Finding{Warning, "mode", "", "the archive has no permissions: nothing in it may be executed",
		"make it on Linux or macOS, or publish the directory"}
}
