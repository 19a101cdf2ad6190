package unpack

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"testing"
	"unsafe"

	"koboshi/artifacts/tree/treetest"

	"golang.org/x/sys/unix"
)

// inChild reports whether this is a process of its own for t, and if not runs
// t in one: for what cannot be undone in a process.
func inChild(t *testing.T, argument string) bool {
	t.Helper()
	if os.Getenv("UNPACK_TEST_CHILD") == t.Name() {
		return true
	}
	self, err := os.Executable()
	must(t, err)
	child := exec.CommandContext(t.Context(), self, "-test.run=^"+t.Name()+"$", "-test.v")
	child.Env = append(os.Environ(), "UNPACK_TEST_CHILD="+t.Name(), "UNPACK_TEST_ARGUMENT="+argument)
	out, err := child.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Errorf("with %s: %v\n%s", argument, err, out)
	}
	return false
}

// Old kernels have no openat2, and old seccomp filters forbid what they do not
// know: the same tree comes out.
func TestWithoutOpenat2(t *testing.T) {
	if !inChild(t, strconv.Itoa(int(unix.ENOSYS))) {
		inChild(t, strconv.Itoa(int(unix.EPERM)))
		return
	}
	errno, err := strconv.Atoi(os.Getenv("UNPACK_TEST_ARGUMENT"))
	must(t, err)
	forbid(t, unix.SYS_OPENAT2, uint32(errno))
	if _, err := unix.Openat2(unix.AT_FDCWD, ".", &unix.OpenHow{}); !errors.Is(err, unix.Errno(errno)) {
		t.Fatalf("openat2: %v", err)
	}
	y := treetest.NewYard(t)
	checkIndex(t, y, unpackGzip(t, y, "testdata/gnutar-gnu-long.tar.gz"))
	if got, want := y.Tree(t), wanted("gnutar-gnu-long"); !maps.Equal(got, want) {
		t.Errorf("unpacked %q\nwant %q", got, want)
	}
}

// forbid makes a system call fail in every thread of this process, for good.
func forbid(t *testing.T, call, errno uint32) {
	t.Helper()
	const returnErrno, allow = 0x00050000, 0x7fff0000
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}, // seccomp_data.nr
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: call, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: returnErrno | errno},
		{Code: unix.BPF_RET | unix.BPF_K, K: allow},
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	const setModeFilter, syncThreads = 1, 1
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	must(t, unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
	if _, _, err := unix.Syscall(unix.SYS_SECCOMP, setModeFilter, syncThreads, uintptr(unsafe.Pointer(&prog))); err != 0 {
		t.Fatal(err)
	}
}
