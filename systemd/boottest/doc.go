// Package boottest boots real machines: systemd as PID 1, cloud-init, and
// koboshi as its unit starts it, in containers on this one. Each scenario has a
// network and a disk of its own, and a loopback AWS (agent/awstest) at
// 169.254.169.254, so that the agent runs as it does on EC2: it has no code for
// the test.
//
//	make boottest               all of it, in three to six minutes
//	make boottest RUN=Reboot    only tests of that name
//	make boottest VM=1          and an emulated Nitro machine that loses power,
//	                            in one to four minutes more
//	make apps                   the recipes of the topic apps (TestApps)
//
// It needs root, Linux with overlayfs and cgroup v2, and Debian's packages.
// What they cost: mmdebstrap 0.5 MB, systemd-container 1.3 MB, iproute2 3.5 MB
// on the host; the root filesystem (Debian 12 with systemd 252, cloud-init
// 22.4, nginx and rsyslog) 330 MB under .build and three minutes, once. For VM=1 qemu-system-x86
// and e2fsprogs, and a kernel of 27 MB that becomes 110 MB. For make apps a layer
// of runtimes above the root filesystem, 780 MB and two minutes, once.
//
// Each scenario asserts the exit code of koboshi's unit, the verdict in the
// report, what the lifecycle action was completed with and what became of the
// instance, what the app answers inside the machine, and the line on the console. systemd must
// not have found an ordering cycle.
//
// # What it has shown
//
// A directory that does not exist cannot be made writable in the unit's sandbox:
// the unit makes it first (TestFirstBoot, TestInstalled).
//
// A Go program ends with 2 at the watchdog's SIGABRT, and koboshi with 130 at
// the SIGTERM of a timeout: neither may keep systemd from starting it again
// (TestAgentBarked, TestAgentTerminated).
//
// User data may configure koboshi by write_files where its unit is enabled, and
// may start the unit from runcmd with or without --no-block. From bootcmd
// --no-block is needed, since the unit waits for later stages. Without --no-block,
// and with an app ordered after cloud-final.service, all wait for each other until
// lifecycle.deadline (TestUserData...).
//
// An app's unit that is ordered after koboshi's, or after multi-user.target, is
// refused at once (TestAppOrdered...). One that is enabled fails at the first
// boot, since there is nothing yet that it could start; koboshi starts it all the
// same (TestAppEnabled).
//
// An app behind a socket of systemd's is re-synced and put back without a failed
// request (TestSyncUnderLoad), if the app's unit limits how often a crashing
// release is started: each waiting connection starts it, so it soon reaches the
// start limit, and systemd closes the socket. Go's Server.Shutdown drops a connection
// that was accepted and whose request was not read. A probe of a crashed app
// waits in the socket, too: the gate checks the process at the same time.
//
// Operators and the document for SSM act on a machine that stays up: the app
// keeps its process unless another release has to run, and a hold survives a
// reboot (TestOperated, TestRunCommand). TestExamined runs doctor on machines with
// faults.
//
// A volume that comes up read-only ends a launch with 18 and ABANDON, and does not
// keep the app down after a reboot (TestReadOnlyVolume, TestRebootReadOnlyVolume).
// On an overlay a release of the image cannot be renamed: it is deleted in place
// (TestOverlayRoot). An app that dies between the gate and CONTINUE is not sent
// into service (TestDiesAfterTheGate).
//
// The hooks of a release run as the app's user, DynamicUser= included, in a unit
// that is gone when they have ended. It is stopped by an agent that is stopped
// itself, or by the next one after an agent that was killed (TestHook...). It sees
// its own release as current, at the first launch, a sync and a rollback, and
// nothing of that is left, even by kill -9. systemd refuses an environment with a name
// that is there twice (TestHookRunsItsRelease, TestHookView...).
//
// While systemd executes itself anew, fifty times in a boot and once just at a
// start, its private socket refuses connections or drops them after they were
// accepted, and calls go unanswered; the jobs survive. Restarting dbus is not
// noticed at all over the private socket (TestSystemdReexecuted,
// TestBusRestarted).
//
// Another program on the app's port, and a worker that KillMode=process has
// left, answer like the app; the control group of the socket distinguishes them.
// A socket of systemd's belongs to init.scope (TestSomethingElseAnswers,
// TestSurvivorAnswers, TestSocketsListenerIsNotSeen).
//
// Several units are started and put back together, and a worker that crashes keeps a
// release from being healthy. An app that ends at first is waited for (TestUnits...).
// nginx is reloaded without a failed request, also where a release is put back
// (TestReload...).
//
// At scale-in, at a power-off and at a reboot in the midst of a drain every line of an
// app that writes 2,000 a second has arrived before CONTINUE or the end of the machine,
// with rsyslog as the topic scale-in sets it up (TestDrainLogs...).
//
// systemd does not notice a drop-in in a new directory, and reports that no reload
// is needed (TestUnitChanged...). A volume with nofail is mounted after
// local-fs.target, and hides what was installed before (Test...VolumeMountedLate).
//
// systemd 252 writes a transient unit's ExecStartEx= into a file that it cannot read
// itself: after a daemon-reload a timer would find nothing to start. A timer with the
// default dependencies is refused at a shutdown, and an isolate stops one that is not
// left out of it. A stop armed for a moment comes at once where the clock is set past
// that, and not before it where the clock is set back (TestStopTimer..., TestVMStopTimer).
//
// An app that looks at no bounds emits all the time, and goes on after SIGTERM. With koboshi
// killed, PID 1 has it down before the lease ends. After a clean reboot it goes on with its
// id from where it was, the table down too; after a power cut with another (TestNodeID...).
// A socket that starts the app does not do so beyond that. With the clock set over the end or
// back below its bounds the app is stopped, no id is claimed while it is wrong, and the mark
// is above what was emitted by it (TestVMNodeID). nspawn's boot id is not seen by a unit for
// which systemd mounts a new /proc (ProtectKernelTunables=).
//
// Where a release lacks the mount point of BindPaths=, systemd makes it in the
// release, which koboshi verify then reports. RootDirectory= through the link
// current ends with 226/NAMESPACE (TestApps).
//
// Images are mounted on ext4, XFS and overlayfs, and again after a reboot; where mounting
// is refused the same run takes the tree. Agents killed while systemd mounts, systemd executed
// anew meanwhile, and a machine that dies then leave one mount and one loop device for each
// release that runs (TestMounted...). systemd looks at mounts five times a second at most, so
// 200 releases in a row take over a minute (TestMountedOften; -often 200). A loop device is free a
// moment after its unmount. A unit whose WorkingDirectory= names the directory of a release is
// stopped with its mount; one that goes by the link current is not. Where the file systems are
// modules koboshi's unit does not see them, and an attempt loads them (TestVMMounted).
//
// # How it leaves nothing behind
//
// A scenario runs in a thread with mount and network namespaces of its own. The
// thread ends with the scenario, and with it all its mounts and addresses. Its
// processes are in a cgroup that is killed and removed at its end. Where the test
// itself was killed, its containers end by themselves, or with the next test,
// which removes their cgroups.
//
// The package is tests only. It never boots anything but its own machines.
package boottest
