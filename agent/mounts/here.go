package mounts

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// loopTries bounds how often another process may be faster with a free loop device.
const loopTries = 16

// mountHere mounts by itself, where there is no systemd. data is more options.
func (m *Mounts) mountHere(filesystem, image, dir, data string) error {
	file, err := os.Open(image) //nolint:gosec // of the store
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // only read
	device, err := m.attach(file)
	if err != nil {
		return fmt.Errorf("loop device: %w", err)
	}
	defer func() { _ = device.Close() }() // the mount keeps it, and its end frees it
	err = unix.Mount(device.Name(), dir, filesystem, unix.MS_RDONLY|unix.MS_NODEV|unix.MS_NOSUID, data)
	return os.NewSyscallError("mount", err)
}

// attach makes a file a loop device, which is freed with its last user.
func (m *Mounts) attach(file *os.File) (*os.File, error) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = control.Close() }() // a device
	for range loopTries {
		number, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE) //nolint:gosec // a descriptor fits
		if err != nil {
			return nil, os.NewSyscallError("ioctl LOOP_CTL_GET_FREE", err)
		}
		device, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", number), os.O_RDONLY, 0)
		if err != nil {
			return nil, err
		}
		config := unix.LoopConfig{Fd: uint32(file.Fd()), Size: 4096} //nolint:gosec // a descriptor fits
		config.Info.Flags = unix.LO_FLAGS_READ_ONLY | unix.LO_FLAGS_AUTOCLEAR
		copy(config.Info.File_name[:len(config.Info.File_name)-1], file.Name())
		err = unix.IoctlLoopConfigure(int(device.Fd()), &config) //nolint:gosec // a descriptor fits
		if err == nil {
			return device, nil
		}
		if err = errors.Join(os.NewSyscallError("ioctl LOOP_CONFIGURE", err), device.Close()); !errors.Is(err, unix.EBUSY) {
			return nil, err
		}
	}
	return nil, unix.EBUSY
}
