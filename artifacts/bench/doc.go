// Package bench measures koboshi against the scripts that it replaces and
// against what the machine can do. It holds nothing but tests: make bench runs
// them, in about half an hour on two cores, make bench BENCH=images what concerns
// images in ten minutes, and make bench BENCH=short one round of some of it, to see that
// it works. A run of koboshi that fails, fails the test.
//
// Every contender brings the same artifact from the same origin to the same
// end: verified by SHA-256, unpacked, and durable on a fresh ext4; or as an image,
// mounted. A round runs all of them once, the next one in another order; medians of
// the rounds are compared. What a contender costs is read from its whole tree of
// processes, and the load of the machine is printed with the tables: figures are
// worth something only where it was low before.
//
// "koboshi boot" is a launch, on an instance of a loopback AWS: until the app is
// started, which for a tree is before it is on the disk, and until CONTINUE. The app
// with node_modules is a server: it is asked until it answers, in whichever way it was installed.
// What a machine has in /run is in memory here, too.
//
// There are two disks: what the machine has, and one with the bytes and requests a
// second of a gp3 volume without options. The block layer slows its loop device down
// for the whole machine, so that writing back is slow as well, by version 1 of
// cgroups; whether that works is measured by direct I/O before. Where it does not, the
// second disk is left out.
//
// Images that koboshi does not make itself are kept from run to run, as the inputs are.
//
// The limit of a workload is the slowest of the steps that no program can
// avoid: hashing the artifact's bytes, writing the unpacked ones, downloading
// them from the origin, and for gzip inflating them. Each is measured alone, in
// the same rounds. Creating files and directories is not part of it.
//
// At the end a machine that has an older release of Go is brought to a newer
// one, by delta update and by the whole artifact, on ext4 and on XFS with reflinks
// (ONLY=delta for this alone).
//
// The origin is a loopback S3 in the process of the test, so it shares the
// cores with what is measured: compare ratios within one run, not times.
// For a change, ONLY=regexp chooses workloads by their title, ROUNDS=n how often, BENCH_DIR
// is where disks are made, and BASE=FILE puts a koboshi from before the change into the
// same rounds:
//
//	make bench ONLY='tar.zst.*s3' BASE=/tmp/koboshi-before
//
// The parts have benchmarks of their own, for golang.org/x/perf/cmd/benchstat:
//
//	make bench-parts >before.txt    # change something
//	make bench-parts >after.txt
//	benchstat before.txt after.txt
//
// It needs root for the loop mounts and the tools that it is measured against;
// what is missing is listed and left out.
package bench
