//go:build e2e

package main

import (
	"bytes"
	byteorder "encoding/binary"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"koboshi/agent/failure"

	"golang.org/x/sys/unix"
)

// mutation is one system call that changes what is on a disk.
type mutation struct {
	call string
	path string // as the call names it, or what its descriptor is
}

func (m mutation) String() string { return m.call + " " + m.path }

// mutating are those calls, and which argument is their object: a path, or with fd
// a descriptor. strace(1) counts the calls of each thread by itself, so it could
// not find the Nth call of a Go program again; this counts those of all threads.
var mutating = map[uint64]struct {
	name string
	arg  int
	fd   bool
}{
	unix.SYS_OPENAT: {"openat", 1, false}, unix.SYS_OPENAT2: {"openat2", 1, false}, unix.SYS_MKDIRAT: {"mkdirat", 1, false},
	unix.SYS_RENAMEAT: {"renameat", 3, false}, unix.SYS_RENAMEAT2: {"renameat2", 3, false}, unix.SYS_LINKAT: {"linkat", 3, false},
	unix.SYS_SYMLINKAT: {"symlinkat", 2, false}, unix.SYS_UNLINKAT: {"unlinkat", 1, false}, unix.SYS_FCHMODAT: {"fchmodat", 1, false},
	unix.SYS_WRITE: {"write", 0, true}, unix.SYS_PWRITE64: {"pwrite64", 0, true}, unix.SYS_FCHMOD: {"fchmod", 0, true},
	unix.SYS_FTRUNCATE: {"ftruncate", 0, true}, unix.SYS_FALLOCATE: {"fallocate", 0, true}, unix.SYS_FSYNC: {"fsync", 0, true},
	unix.SYS_MOUNT: {"mount", 1, false}, unix.SYS_UMOUNT2: {"umount2", 0, false}, unix.SYS_IOCTL: {"LOOP_CONFIGURE", 0, true},
	unix.SYS_FDATASYNC: {"fdatasync", 0, true}, unix.SYS_SYNCFS: {"syncfs", 0, true}, unix.SYS_FLOCK: {"flock", 0, true},
}

// tracee is a command under ptrace(2), all its threads but no children.
type tracee struct {
	pid    int
	before func(mutation) bool // false kills the command before the call is made
}

// trace runs a command to its end, and stops before each mutation. It returns
// how the command ended.
func trace(t *testing.T, env []string, args []string, before func(mutation) bool) (result, error) {
	t.Helper()
	output, err := os.CreateTemp(t.TempDir(), "output")
	must(t, err)
	defer func() { _ = output.Close() }()
	runtime.LockOSThread() // the kernel ties a tracee to the thread that began it
	defer runtime.UnlockOSThread()
	pid, err := syscall.ForkExec(args[0], args, &syscall.ProcAttr{
		Env: env, Files: []uintptr{output.Fd(), output.Fd(), output.Fd()},
		Sys: &syscall.SysProcAttr{Ptrace: true, Setpgid: true},
	})
	if err != nil {
		return result{}, err
	}
	p := &tracee{pid, before}
	status, err := p.follow()
	if err != nil {
		_ = syscall.Kill(pid, syscall.SIGKILL) // EXITKILL sees to the rest
		return result{}, fmt.Errorf("tracing %v: %w", args, err)
	}
	said, err := io.ReadAll(io.NewSectionReader(output, 0, 1<<20))
	return result{code: failure.Code(status.ExitStatus()), killed: status.Signaled(), output: string(said)}, err
}

func (p *tracee) follow() (status syscall.WaitStatus, err error) {
	if _, err := syscall.Wait4(p.pid, &status, 0, nil); err != nil { // it stops once it has been loaded
		return status, err
	}
	if err := syscall.PtraceSetOptions(p.pid, unix.PTRACE_O_TRACESYSGOOD|unix.PTRACE_O_TRACECLONE|unix.PTRACE_O_EXITKILL); err != nil {
		return status, err
	}
	for thread := p.pid; ; {
		if err := p.resume(thread, status); err != nil {
			return status, err
		}
		// Of this thread's own tracees only: other tests have children, too.
		if thread, err = syscall.Wait4(-p.pid, &status, unix.WALL|unix.WNOTHREAD, nil); err != nil {
			return status, err
		}
		if thread == p.pid && (status.Exited() || status.Signaled()) {
			return status, nil
		}
	}
}

// resume lets a stopped thread go on to its next system call.
func (p *tracee) resume(thread int, status syscall.WaitStatus) error {
	if !status.Stopped() {
		return nil // a thread that has ended
	}
	deliver := 0
	switch sig := status.StopSignal(); {
	case sig == syscall.SIGTRAP|0x80:
		if m, ok := p.mutation(thread); ok && !p.before(m) {
			return syscall.Kill(p.pid, syscall.SIGKILL)
		}
	case sig != syscall.SIGTRAP && sig != syscall.SIGSTOP: // those two are the tracing itself
		deliver = int(sig)
	}
	if err := syscall.PtraceSyscall(thread, deliver); err != nil && err != syscall.ESRCH { // it has just been killed
		return err
	}
	return nil
}

// syscallInfo is struct ptrace_syscall_info of ptrace(2), at an entry.
type syscallInfo struct {
	Op   uint8
	_    [3]uint8
	Arch uint32
	IP   uint64
	SP   uint64
	Nr   uint64
	Args [6]uint64
}

// mutation is what a thread is about to do, if that is one.
func (p *tracee) mutation(thread int) (mutation, bool) {
	var info syscallInfo
	_, _, errno := syscall.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_GET_SYSCALL_INFO, uintptr(thread), unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)), 0, 0)
	call, ok := mutating[info.Nr]
	if errno != 0 || info.Op != unix.PTRACE_SYSCALL_INFO_ENTRY || !ok {
		return mutation{}, false
	}
	if call.fd && info.Args[call.arg] <= 2 {
		return mutation{}, false // what it says to us
	}
	if info.Nr == unix.SYS_IOCTL {
		return mutation{call.name, "a loop device"}, info.Args[1] == unix.LOOP_CONFIGURE
	}
	if call.fd {
		path, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", p.pid, info.Args[call.arg]))
		return mutation{call.name, path}, err == nil && strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "/dev/")
	}
	flags := info.Args[2]
	if info.Nr == unix.SYS_OPENAT2 {
		flags = byteorder.NativeEndian.Uint64(p.memory(info.Args[2], 8)) // struct open_how
	}
	if (info.Nr == unix.SYS_OPENAT || info.Nr == unix.SYS_OPENAT2) && flags&unix.O_CREAT == 0 {
		return mutation{}, false
	}
	path, _, _ := bytes.Cut(p.memory(info.Args[call.arg], 256), []byte{0})
	return mutation{call.name, string(path)}, true
}

// memory reads up to n bytes of the tracee's, zeros where there are none.
func (p *tracee) memory(address uint64, n int) []byte {
	data := make([]byte, n)
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", p.pid))
	if err != nil {
		return data
	}
	defer func() { _ = mem.Close() }()
	_, _ = mem.ReadAt(data, int64(address))
	return data
}
