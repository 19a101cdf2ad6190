package main

import (
	"runtime/debug"

	"golang.org/x/sys/unix"

	"koboshi/agent/instance"
	"koboshi/artifacts"
	"koboshi/artifacts/fetch"
	"koboshi/artifacts/format"
	"koboshi/artifacts/unpack"
)

// A profile is how much memory a run uses, however large the artifact is: the Go
// heap, and the slots of a download, which are outside of it.
type profile struct {
	heap    int64         // bytes, soft
	window  int64         // bytes of an archive's window, which are of the heap; 0 = what every decoder has
	archive fetch.Options // of artifacts that are decoded while they arrive
	image   fetch.Options // of images that are only written: these need little heap
	file    fetch.Options // of single files, the largest artifacts
}

const (
	smallMachine = 1280 << 20 // bytes of memory, which its app needs more than a download does

	// gcPercent is how much garbage may be added to the live heap, in percent: little,
	// since nearly all of the heap is buffers, which cost the collector nothing.
	gcPercent = 25
)

// chooseProfile fits a machine of so many bytes of memory.
func chooseProfile(memory int64) profile {
	written := fetch.Options{Workers: 24, SlotBytes: 1 << 20}
	if memory <= smallMachine {
		return profile{heap: 38 << 20, archive: fetch.Options{Workers: 8, SlotBytes: 1 << 20}, image: written, file: written}
	}
	return profile{
		heap: 96 << 20, window: unpack.MaxWindow,
		archive: fetch.Options{Workers: 16, SlotBytes: 2 << 20}, // decoding and making files is slower than these
		image:   fetch.Options{Workers: 24, SlotBytes: 2 << 20},
	}
}

// limitMemory limits the heap to what fits the machine, and returns the limits of
// downloads.
func limitMemory() profile {
	p := chooseProfile(memory())
	debug.SetMemoryLimit(p.heap)
	debug.SetGCPercent(gcPercent)
	return p
}

// makeRoom adds the window of an archive that was made elsewhere to the heap limit.
func (p profile) makeRoom(a artifacts.Artifact) {
	if a.Format == artifacts.TarZst && !a.Framed() {
		debug.SetMemoryLimit(p.heap + p.window)
	}
}

// download is what the download of one artifact may take.
func (p profile) download(a artifacts.Artifact) fetch.Options {
	f, err := format.Of(a)
	if err != nil || !f.Info().Direct || len(a.Chunks) == 0 { // a delta has no format
		return p.archive
	}
	o := p.file
	switch {
	case a.Framed():
		o = p.archive
	case a.Image != nil:
		o = p.image
	}
	o.AnyOrder = true
	return o
}

// memory is the machine's, or as much of it as cgroups and GOMEMLIMIT leave to koboshi.
func memory() int64 {
	limit := min(debug.SetMemoryLimit(-1), instance.MemoryLimit("/"))
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return limit
	}
	return min(limit, int64(info.Totalram)*int64(info.Unit)) //nolint:gosec // 8 EiB at most
}
