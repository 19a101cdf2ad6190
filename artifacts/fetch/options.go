package fetch

import (
	"os"
	"runtime"

	"koboshi/artifacts"
)

// Options limit what a [Download] may use. Zero is up to 24 connections, 12 a
// core, each with a buffer of 4 MiB.
//
// Workers x SlotBytes is all the memory that a download takes, outside the Go
// heap and whatever the artifact's size. Where one chunk needs a larger slot
// there are fewer of them, but always two; the connections share them.
type Options struct {
	Workers   int
	SlotBytes int

	// Rate is how many bytes a second all connections together may transfer; 0 is
	// without a limit. With a limit there are no more connections than it needs.
	Rate int64

	// Chunks are the only chunks of the artifact that are fetched, by their index
	// in the manifest, ascending; nil = the whole artifact.
	Chunks []int

	// AnyOrder lets the chunks of an artifact come as they arrive, each with its place.
	// Then one request brings several parts of a large artifact, which hardly waits for
	// answers to begin. Without chunks, or for only some of them, it is ignored.
	AnyOrder bool

	lanes   int64 // connections a slot
	stretch int   // parts a request, at most

	Progress func(n int64) // called with every n bytes as they are verified, or read where there are no chunks; by any goroutine
	Attempts func()        // called before every request; by any goroutine
}

const (
	maxWorkers     = 24
	workersPerCore = 12
	slotBytes      = 4 << 20
	minPartBytes   = 1 << 20 // less is not worth a request
	maxStretch     = 4       // more would leave the last request alone for long
)

func (o Options) withDefaults() Options {
	if o.Workers <= 0 {
		o.Workers = min(maxWorkers, workersPerCore*runtime.NumCPU())
	}
	if o.SlotBytes <= 0 {
		o.SlotBytes = slotBytes
	}
	if o.Progress == nil {
		o.Progress = func(int64) {}
	}
	if o.Attempts == nil {
		o.Attempts = func() {}
	}
	return o
}

// fit sets slots and workers for one artifact: every chunk fits a slot, all
// slots together stay within the bound, and a small artifact still uses many
// connections.
func (o Options) fit(a artifacts.Artifact) Options {
	o = o.withDefaults()
	if o.Rate > 0 {
		o.Workers = int(min(int64(o.Workers), max(2, ceilDiv(o.Rate, perConnection))))
	}
	budget := int64(o.Workers) * int64(o.SlotBytes)
	part := min(int64(o.SlotBytes), max(minPartBytes, ceilDiv(a.Size, int64(o.Workers))))
	for _, c := range a.Chunks {
		part = max(part, c.Size)
	}
	page := int64(os.Getpagesize())
	part = ceilDiv(part, page) * page
	o.SlotBytes = int(part)
	slots := min(int64(o.Workers), max(2, budget/part), max(1, ceilDiv(a.Size, part)))
	o.lanes = max(1, min(int64(o.Workers)/slots, part/minPartBytes))
	o.Workers = int(slots)
	o.AnyOrder = o.AnyOrder && len(a.Chunks) > 0 && o.Chunks == nil
	o.stretch = 1
	if o.AnyOrder && o.lanes == 1 {
		o.stretch = maxStretch
	}
	return o
}

func ceilDiv(a, b int64) int64 { return (a + b - 1) / b }
