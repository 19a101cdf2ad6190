//go:build bench

package bench

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// disk is what a workload lands on.
type disk string

const (
	quick disk = "fast disk"                  // a file of this machine
	gp3   disk = "125 MiB/s, 3,000 IOPS disk" // what a gp3 volume without options has
)

const (
	gp3Bytes = 125 << 20 // a second
	gp3IOPS  = 3000
)

// ext4 has an inode for every 8 KiB: trees have many small files.
var ext4 = []string{"mkfs.ext4", "-q", "-F", "-i", "8192", "-E", "lazy_itable_init=1,nodiscard"}

// mount makes a fresh filesystem of a size and returns its mount point. It is on
// a loop device that bypasses the page cache, as a volume does, where the disk
// below allows that.
func (l *lab) mount(mkfs []string, size int64, kind disk) string {
	l.Helper()
	disk := filepath.Join(l.dir, "disk")
	must(l, os.MkdirAll(disk, 0o755))
	image := l.attach(size)
	must(l, command(mkfs[0], append(slices.Clone(mkfs[1:]), image)...).Run())
	if kind == gp3 {
		must(l, l.throttle(gp3Bytes, gp3IOPS))
	}
	must(l, command("mount", l.device, disk).Run())
	return disk
}

// leave takes the test's thread, which mounts all disks and starts all contenders, out of
// this machine's mount namespace, and never gives it back. A container that starts meanwhile
// would take a copy of what is mounted: of an image, too, whose loop device then keeps its
// file open, and with it the disk that has the file.
func (l *lab) leave() {
	l.Helper()
	runtime.LockOSThread()
	must(l, unix.Unshare(unix.CLONE_NEWNS))
	must(l, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
}

// attach makes a loop device of a new file.
func (l *lab) attach(size int64) (image string) {
	l.Helper()
	image = filepath.Join(l.images, "image")
	f, err := os.Create(image)
	must(l, err)
	must(l, errors.Join(unix.Fallocate(int(f.Fd()), 0, 0, size), f.Close()))
	device, err := command("losetup", "--find", "--show", "--direct-io=on", image).Output()
	if err != nil {
		device, err = command("losetup", "--find", "--show", image).Output()
	}
	must(l, err)
	l.device = strings.TrimSpace(string(device))
	return image
}

// unmount ends what the disk has mounted and started, and the disk.
func (l *lab) unmount(disk string) {
	l.Helper()
	images, err := filepath.Glob(filepath.Join(disk, "root/releases/*/tree"))
	must(l, err)
	for _, dir := range images {
		if err := unix.Unmount(dir, 0); err != nil && !errors.Is(err, unix.EINVAL) { // no mount point
			l.Fatalf("%s: %v", dir, err)
		}
	}
	err = unix.Unmount(disk, 0)
	for try := 0; errors.Is(err, unix.EBUSY) && try < 600; try++ { // what a killed app had open is closed a little later
		<-time.After(100 * time.Millisecond)
		err = unix.Unmount(disk, 0)
	}
	must(l, err)
	l.detach()
}

func (l *lab) detach() {
	l.Helper()
	must(l, l.throttle(0, 0))
	must(l, command("losetup", "--detach", l.device).Run())
	must(l, os.Remove(filepath.Join(l.images, "image")))
}

// blkio is where a whole machine's requests to a device are limited: writing back
// pages as well, which belongs to no process. Version 2 of cgroups cannot do that.
const blkio = "/sys/fs/cgroup/blkio/"

// throttle limits the requests of the loop device to bytes and operations a second;
// 0 = without a limit.
func (l *lab) throttle(bytes, operations int) error {
	device, err := os.ReadFile(filepath.Join("/sys/block", filepath.Base(l.device), "dev"))
	if err != nil {
		return err
	}
	for name, limit := range map[string]int{"read_bps": bytes, "write_bps": bytes, "read_iops": operations, "write_iops": operations} {
		file, err := os.OpenFile(blkio+"blkio.throttle."+name+"_device", os.O_WRONLY, 0)
		if err != nil && limit == 0 {
			continue // then there was none
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(file, "%s %d\n", strings.TrimSpace(string(device)), limit)
		if err = errors.Join(err, file.Close()); err != nil {
			return err
		}
	}
	return nil
}

// shapes measures a gp3-shaped disk, which is the first of all, by direct I/O and reports
// whether it has that shape here.
func (l *lab) shapes() bool {
	l.Helper()
	l.leave()
	l.attach(256 << 20)
	defer l.detach()
	err := l.throttle(gp3Bytes, gp3IOPS)
	var bytes, operations float64
	if err == nil {
		bytes, operations, err = l.probe()
	}
	if err != nil {
		fmt.Printf("no disk of %d MiB/s here: %v\n", gp3Bytes>>20, err)
		return false
	}
	fmt.Printf("the slow disk, by direct I/O: %.0f MiB/s, %.0f IOPS\n", bytes/(1<<20), operations)
	return within(bytes, gp3Bytes) && within(operations, gp3IOPS)
}

func within(got, want float64) bool { return got > 0.85*want && got < 1.15*want }

// probe is how many bytes and requests a second the loop device takes.
func (l *lab) probe() (bytes, operations float64, err error) {
	f, err := os.OpenFile(l.device, os.O_WRONLY|unix.O_DIRECT, 0)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = f.Close() }() // only a probe
	if bytes, err = pour(f, 1<<20, 192); err != nil {
		return 0, 0, err
	}
	operations, err = pour(f, 4<<10, 4500)
	return bytes * (1 << 20), operations, err
}

// pour writes n blocks of a size, a few at a time, and returns how many a second.
func pour(f *os.File, size, n int) (rate float64, err error) {
	buf, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return 0, err
	}
	defer func() { _ = unix.Munmap(buf) }()
	began := time.Now()
	var group errgroup.Group
	group.SetLimit(8)
	for i := range n {
		group.Go(func() error {
			_, err := f.WriteAt(buf, int64(i)*int64(size))
			return err
		})
	}
	err = group.Wait()
	return float64(n) / time.Since(began).Seconds(), err
}
