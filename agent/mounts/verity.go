package mounts

import (
	"encoding/hex"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Verity is fs-verity of Linux 5.4, where the file system has it: store.Seals.
// The zero value is that of this kernel.
type Verity struct {
	ioctl func(f *os.File, request uintptr, arg unsafe.Pointer) error // but for tests
}

// enableArg is struct fsverity_enable_arg, and digestArg struct fsverity_digest
// (include/uapi/linux/fsverity.h).
type (
	enableArg struct {
		version, algorithm, block, saltSize uint32
		salt                                uint64
		signatureSize, _                    uint32
		signature                           uint64
		_                                   [11]uint64
	}
	digestArg struct {
		algorithm, size uint16
		digest          [64]byte
	}
)

const verityBlock = 4096 // bytes; the only size before Linux 6.3

// Seal has the kernel hash the file and refuse other bytes from then on. One that is
// sealed already stays so.
func (v Verity) Seal(f *os.File) error {
	arg := enableArg{version: 1, algorithm: unix.FS_VERITY_HASH_ALG_SHA256, block: verityBlock}
	err := v.call(f, unix.FS_IOC_ENABLE_VERITY, unsafe.Pointer(&arg)) //nolint:gosec // a struct of the kernel's
	if err == unix.EEXIST {                                           //nolint:errorlint // as the kernel returns it
		return nil
	}
	return os.NewSyscallError("ioctl FS_IOC_ENABLE_VERITY", err)
}

// Sealed asks the kernel for the digest of a file, which it does not compute again.
func (v Verity) Sealed(f *os.File) (string, error) {
	arg := digestArg{size: uint16(len(digestArg{}.digest))}
	err := v.call(f, unix.FS_IOC_MEASURE_VERITY, unsafe.Pointer(&arg)) //nolint:gosec // a struct of the kernel's
	if err != nil {
		return "", os.NewSyscallError("ioctl FS_IOC_MEASURE_VERITY", err)
	}
	if arg.algorithm != unix.FS_VERITY_HASH_ALG_SHA256 || arg.size != 32 {
		return "", fmt.Errorf("a digest of %d bytes by algorithm %d, want SHA-256", arg.size, arg.algorithm)
	}
	return hex.EncodeToString(arg.digest[:arg.size]), nil
}

func (v Verity) call(f *os.File, request uintptr, arg unsafe.Pointer) error {
	if v.ioctl != nil {
		return v.ioctl(f, request, arg)
	}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), request, uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}
