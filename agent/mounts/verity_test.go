package mounts

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// verityKernel is a kernel that seals files, or does not.
type verityKernel struct {
	enable, measure error
	size            uint16
	enabled         []enableArg
}

func (k *verityKernel) ioctl(_ *os.File, request uintptr, arg unsafe.Pointer) error {
	switch request {
	case unix.FS_IOC_ENABLE_VERITY:
		k.enabled = append(k.enabled, *(*enableArg)(arg))
		return k.enable
	case unix.FS_IOC_MEASURE_VERITY:
		d := (*digestArg)(arg)
		if d.size != 64 {
			return unix.EOVERFLOW
		}
		d.algorithm, d.size, d.digest[0] = 1, k.size, 0xab
		return k.measure
	}
	return unix.ENOTTY
}

func TestVerity(t *testing.T) {
	if size := unsafe.Sizeof(enableArg{}); size != unix.FS_IOC_ENABLE_VERITY>>16&0x3fff {
		t.Errorf("the argument has %d bytes, and its request says another size", size)
	}
	k := &verityKernel{size: 32}
	v := Verity{k.ioctl}
	for _, k.enable = range []error{nil, unix.EEXIST} {
		if err := v.Seal(nil); err != nil {
			t.Errorf("%v: %v", k.enable, err)
		}
	}
	if want := (enableArg{version: 1, algorithm: 1, block: 4096}); k.enabled[0] != want {
		t.Errorf("%+v", k.enabled[0])
	}
	if digest, err := v.Sealed(nil); err != nil || digest != "ab"+strings.Repeat("00", 31) {
		t.Errorf("%q, %v", digest, err)
	}
	k.size = 64
	if digest, err := v.Sealed(nil); err == nil || digest != "" {
		t.Errorf("another algorithm: %q", digest)
	}
	k.enable, k.measure = unix.EOPNOTSUPP, unix.ENODATA
	if err := v.Seal(nil); !errors.Is(err, unix.EOPNOTSUPP) {
		t.Errorf("%v", err)
	}
	if _, err := v.Sealed(nil); !errors.Is(err, unix.ENODATA) {
		t.Errorf("%v", err)
	}
}

// A file that is not sealed has no digest, on any kernel.
func TestVerityOfThisKernel(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if digest, err := (Verity{}).Sealed(f); err == nil {
		t.Errorf("%q", digest)
	}
}
