// Package bench measures koboshi against the scripts that it replaces and
// against what the machine can do. It holds nothing but tests: make bench runs
// them, in about a quarter of an hour on two cores, and make bench BENCH=short a
// form of three minutes. A run of koboshi that fails, fails the test.
//
// Every contender brings the same artifact from the same origin to the same
// end: verified by SHA-256, unpacked, and durable on a fresh ext4. A round runs
// all of them once, the next one in another order; medians of the rounds are
// compared. What a contender costs is read from its whole tree of processes.
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
// For a change, ONLY=regexp chooses workloads by their title, and BASE=FILE puts
// a koboshi from before the change into the same rounds:
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
