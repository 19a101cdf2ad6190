//go:build boottest && vm

package boottest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/faults"
	"koboshi/agent/report"
)

// vmLimit is for one boot: under emulation everything is ten times as slow.
const vmLimit = 5 * time.Minute

// TestVMPowerCut cuts the power while a release is half unpacked: data that was
// not synced is lost, and the next boot converges all the same.
func TestVMPowerCut(t *testing.T) {
	t.Parallel()
	l := newLab(t, vmImage(), kernel())
	l.publishLarge("1.0.0-large")
	l.promote("1.0.0-large")
	l.launch("")
	disk := l.makeDisk()
	l.aws.Faults().Add(faults.Fault{Service: "s3", Path: "/web-linux-", BytesPerSecond: 1 << 20})
	l.aws.Calls().Reset()

	vm := l.startVM(disk)
	l.until(vmLimit, "half of the release is here", func() bool { return l.downloaded() > ballast/2 })
	must(t, vm.Process.Kill())
	_ = vm.Wait() // it was killed
	same(t, "state", l.instance.State(), autoscaling.PendingWait)
	l.aws.Faults().Clear()

	vm = l.startVM(disk)
	must(t, vm.Wait())
	l.root = l.mountDisk(disk)
	want := inService(report.Fresh, "1.0.0-large")
	var got seen
	data, err := os.ReadFile(filepath.Join(l.root, "var/lab/seen.json"))
	must(t, err)
	must(t, json.Unmarshal(data, &got))
	got.Report = l.report()
	want.check(l, got)
}

// ballast makes a release large enough to be cut half-way, in bytes.
const ballast = 32 << 20

func (l *lab) publishLarge(version string) {
	l.Helper()
	tree := filepath.Join(l.dir, "tree")
	must(l.T, built.tree(tree, version))
	noise := make([]byte, ballast)
	_, _ = rand.Read(noise) // never fails
	must(l.T, os.WriteFile(filepath.Join(tree, "ballast"), noise, 0o644))
	must(l.T, built.koboshi(builder(), "publish", "--source", "s3://releases/apps", "--app", "web",
		"--version", version, "--key", built.path("release.key"), tree))
}

// kernel is the layer with the kernel and its modules.
func kernel() string { return filepath.Join(filepath.Dir(*rootFS), "kernel") }

// vmImage needs a network, and none of the settings that make cloud-init work in a
// container.
func vmImage() files {
	f := standard().with(files{
		dropIn:                             "[health]\ntimeout = \"1m\"\n",
		"/etc/lab/observer":                fmt.Sprintf("VERB=poweroff\nLIMIT=%s\n", vmLimit),
		cloudConfig:                        ec2Only + "system_info: {network: {renderers: [networkd]}}\n",
		"/etc/cloud/ds-identify.cfg":       "", // it finds EC2 by itself
		wants + "systemd-networkd.service": "-> /lib/systemd/system/systemd-networkd.service",
		"/etc/systemd/system/sockets.target.wants/systemd-networkd.socket":                     "-> /lib/systemd/system/systemd-networkd.socket",
		"/etc/systemd/system/network-online.target.wants/systemd-networkd-wait-online.service": "-> /lib/systemd/system/systemd-networkd-wait-online.service",
	})
	for name, text := range f {
		if text == inContainer {
			delete(f, name)
		}
	}
	return f
}

// makeDisk writes the machine's files to an image of a disk.
func (l *lab) makeDisk() string {
	l.Helper()
	disk := filepath.Join(l.dir, "disk.img")
	l.command("mkfs.ext4", "-q", "-d", l.root, disk, "2G")
	return disk
}

// mountDisk mounts a disk image and returns its mount point.
func (l *lab) mountDisk(disk string) string {
	l.Helper()
	dir := filepath.Join(l.dir, "disk")
	must(l.T, os.Mkdir(dir, 0o755))
	l.command("mount", "-o", "loop,ro", disk, dir)
	l.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			l.Error(err)
		}
	})
	return dir
}

// startVM boots a disk on an emulated Nitro machine.
func (l *lab) startVM(disk string) *exec.Cmd {
	l.Helper()
	l.boots++
	ctx, cancel := context.WithTimeout(l.Context(), max(vmLimit, l.lifetime))
	l.Cleanup(cancel)
	vm := exec.CommandContext(ctx, "qemu-system-x86_64", strings.Fields(`-cpu qemu64 -smp 1 -m 768 -display none -no-reboot
		-netdev user,id=net,net=172.31.16.0/20,ipv6=off -device virtio-net-pci,netdev=net,romfile=,mac=02:00:0a:00:00:01
		-device nvme,drive=root,serial=root
		-smbios type=2,asset=`+l.instance.ID())...)
	vm.Args = append(vm.Args,
		"-drive", "if=none,id=root,format=raw,file="+disk,
		"-smbios", "type=1,manufacturer=Amazon EC2,product=m5.large,serial=ec2a5c0d-e000-0000-0000-000000000001,uuid=ec2a5c0d-e000-0000-0000-000000000001",
		"-kernel", filepath.Join(kernel(), "vmlinuz"), "-append", "root=/dev/nvme0n1 rw console=ttyS0 no_timer_check panic=-1",
		"-serial", "file:"+l.consoleFile())
	vm.Stderr = os.Stderr
	vm.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	must(l.T, vm.Start())
	return vm
}

// downloaded is how much of artifacts was sent.
func (l *lab) downloaded() (sum int64) {
	for _, c := range l.aws.Calls().Filter(isDownload) {
		sum += c.Bytes
	}
	return sum
}
