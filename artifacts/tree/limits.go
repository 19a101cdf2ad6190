package tree

import "time"

// The limits of every tree, whatever its manifest allows.
const (
	MaxEntries = 1 << 20  // paths in a tree; an entry costs about 300 bytes of memory
	MaxDepth   = 128      // components of a path, and of a symbolic link's target
	MaxPath    = 3840     // bytes of a path or target: with a root before it, less than the kernel's PATH_MAX
	MaxName    = 255      // bytes of one component: the kernel's NAME_MAX
	MaxText    = 64 << 20 // bytes of all names and link targets of a tree: what it takes in memory beside its entries
	MaxHops    = 40       // links that one link may lead through: the kernel's own limit
)

// Limits are the upper limits that the signed manifest promises. The zero
// value allows nothing.
type Limits struct {
	Bytes   int64 // of all files together
	Entries int64 // paths made, directories that are only implied by a longer path included
}

// Options say how to write a tree.
type Options struct {
	Limits
	Writers   int       // goroutines that write; 0 means 4
	Time      time.Time // that everything gets; zero = the time of writing
	KeepTimes bool      // an entry with a time of its own gets that
	Hash      bool      // put the SHA-256 of each added file into its entry
	Bare      bool      // return no entries, which may take much more memory than writing the tree
}
