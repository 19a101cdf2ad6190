// Package boottest boots real machines: systemd as PID 1, cloud-init, and
// koboshi as its unit starts it, in containers on this one. Each scenario has a
// network and a disk of its own, and a loopback AWS (agent/awstest) at
// 169.254.169.254, so that the agent runs as it does on EC2: nothing in it
// knows of the test.
//
//	make boottest               all of it, in about two minutes
//	make boottest RUN=Reboot    only what is called so
//
// It needs root, Linux with overlayfs and cgroup v2, and Debian's packages.
// What they cost: mmdebstrap 0.5 MB, systemd-container 1.3 MB, iproute2 3.5 MB
// on the host; the root filesystem (Debian 12 with systemd 252 and cloud-init)
// 330 MB under .build and two to three minutes, once.
//
// A scenario runs in a thread that has left the machine's mount and network
// namespaces and that ends with it: whatever it mounted and every address is
// gone then, however it ended. What it leaves on failure is the console and
// the journal, in the test's output.
//
// The package is tests only. It never boots anything but its own containers.
package boottest
