package artifacts

import (
	"fmt"
	"math"
	"strings"
)

// Limits on what a manifest may claim. They bound an agent's memory and work
// even where a signing key was stolen.
const (
	MaxArtifactBytes = 1 << 40 // of one artifact, packed or unpacked
	MaxEntries       = 1 << 20 // files, directories and links of one tree
	MaxChunkBytes    = 8 << 20 // of one chunk, packed
	MaxChunkPlain    = 4 << 20 // of one chunk, decoded
	MaxIndexBytes    = 256 << 20
	maxPlatforms     = 64
	MaxDeltas        = 64 // of one artifact
	maxArguments     = 64
)

// ChunkBytes is the size of the slices in which publish cuts an artifact: plain
// bytes in a tar.zst, packed bytes elsewhere.
const ChunkBytes = 4 << 20

// Format is how an artifact's bytes are to be read.
type Format string

// The formats.
const (
	TarZst Format = "tar.zst"
	TarGz  Format = "tar.gz"
	File   Format = "file" // one executable

	// Images; their chunks may be zstd frames. Each is one that some kernels mount and
	// others do not.
	Erofs        Format = "erofs"
	ErofsLZ4     Format = "erofs-lz4"
	ErofsZstd    Format = "erofs-zstd"
	Squashfs     Format = "squashfs"
	SquashfsGzip Format = "squashfs-gzip"
)

// Ext is the format's file name extension, without a dot.
func (f Format) Ext() string {
	if f == File {
		return ""
	}
	return string(f)
}

// Artifact is the bytes of a release for one platform.
type Artifact struct {
	OS            string  `json:"os"`
	Arch          string  `json:"arch"`
	Key           string  `json:"key"` // relative to the app's prefix
	Format        Format  `json:"format"`
	Size          int64   `json:"size"` // bytes
	SHA256        Digest  `json:"sha256"`
	UnpackedBytes int64   `json:"unpacked_bytes"` // an upper limit
	Entries       int64   `json:"entries"`        // an upper limit
	Chunks        []Chunk `json:"chunks,omitzero"`
	ChunkList     *Blob   `json:"chunk_list,omitzero"` // has the chunks in place of Chunks: see [Artifact.WithChunks]
	Index         *Blob   `json:"index,omitzero"`
	Deltas        []Delta `json:"deltas,omitzero"`
	Image         *Image  `json:"image,omitzero"` // it is mounted, not unpacked

	// KeepTimes gives files the times that the archive and the index have for
	// them, in place of the manifest's created.
	KeepTimes bool `json:"keep_times,omitzero"`
}

// Chunk is a slice of an artifact's bytes; the chunks cover it in order. With
// Plain it is also one whole, independent zstd frame of that many bytes.
type Chunk struct {
	Size   int64  `json:"size"` // bytes as stored
	SHA256 Digest `json:"sha256"`
	Plain  int64  `json:"plain,omitzero"` // bytes when decoded; 0 = a bare slice
}

// Image is a read-only file system: what an artifact decodes to, or is. Its pieces
// are the artifact's chunks, decoded: 4 MiB each but the last.
type Image struct {
	Size   int64  `json:"size"`   // bytes
	Pieces Digest `json:"pieces"` // SHA-256 of the SHA-256s of its pieces, in order: they are hashed in parallel
}

// Blob is an object that is read whole.
type Blob struct {
	Key    string `json:"key"`
	Size   int64  `json:"size"`
	SHA256 Digest `json:"sha256"`
}

// Blobs are the objects of an artifact: itself, and all that goes with it.
func (a Artifact) Blobs() []Blob {
	all := []Blob{{Key: a.Key, Size: a.Size, SHA256: a.SHA256}}
	for _, b := range []*Blob{a.Index, a.ChunkList} {
		if b != nil {
			all = append(all, *b)
		}
	}
	for _, d := range a.Deltas {
		all = append(all, Blob{Key: d.Key, Size: d.Size, SHA256: d.SHA256})
	}
	return all
}

// Delta makes the release from an installed base: see package delta for what is
// in it.
type Delta struct {
	Base   string `json:"base"` // a version
	Key    string `json:"key"`
	Size   int64  `json:"size"`
	SHA256 Digest `json:"sha256"`
}

// Framed reports whether each chunk is an independent zstd frame.
func (a Artifact) Framed() bool {
	return len(a.Chunks) > 0 && a.Chunks[0].Plain > 0
}

// CheckChunk compares the bytes of chunk i with what was signed for it.
func (a Artifact) CheckChunk(i int, data []byte) error {
	c := a.Chunks[i]
	return CheckSum(fmt.Sprintf("chunk %d of %s", i, a.Key), data, c.Size, c.SHA256)
}

// Validate checks the manifest against its grammar and bounds.
func (m Manifest) Validate() error {
	if m.Schema != Schema {
		return fmt.Errorf("schema %d, want %d", m.Schema, Schema)
	}
	for _, err := range []error{CheckName(m.App), CheckVersion(m.Version), checkTime("created", m.Created, true), m.Hooks.Validate(), m.Health.Validate()} {
		if err != nil {
			return err
		}
	}
	if n := len(m.Artifacts); n < 1 || n > maxPlatforms {
		return fmt.Errorf("%d artifacts, want 1 to %d", n, maxPlatforms)
	}
	type one struct { // of a platform there is at most one tree, and any image once
		platform string
		image    Digest
	}
	seen := map[one]bool{}
	for _, a := range m.Artifacts {
		platform := a.OS + "/" + a.Arch
		this := one{platform: platform}
		if a.Image != nil {
			this.image = a.SHA256
		}
		if seen[this] {
			return fmt.Errorf("two artifacts for %s", clip(platform))
		}
		if seen[this] = true; a.Image != nil && m.MinAgent == "" {
			return fmt.Errorf("an image for %s without a min_agent: older agents would take it for a forgery", clip(platform))
		}
		if a.ChunkList != nil && m.MinAgent == "" {
			return fmt.Errorf("a chunk list for %s without a min_agent: older agents would take it for a forgery", clip(platform))
		}
		if err := a.validate(m.Version); err != nil {
			return fmt.Errorf("artifact %s: %w", clip(platform), err)
		}
	}
	return nil
}

func (a Artifact) validate(version string) error {
	switch {
	case CheckName(a.OS) != nil || CheckName(a.Arch) != nil:
		return fmt.Errorf("want os and arch in Go's names, such as linux and arm64")
	case !spelled(string(a.Format), maxName, lower, ".-"):
		return fmt.Errorf("format %q, want a name such as %s", clip(string(a.Format)), TarZst)
	case a.UnpackedBytes < 0 || a.UnpackedBytes > MaxArtifactBytes:
		return fmt.Errorf("unpacked_bytes %d, want 0 to %d", a.UnpackedBytes, int64(MaxArtifactBytes))
	case a.Entries < 0 || a.Entries > MaxEntries:
		return fmt.Errorf("entries %d, want 0 to %d", a.Entries, MaxEntries)
	case len(a.Deltas) > MaxDeltas:
		return fmt.Errorf("%d deltas, want at most %d", len(a.Deltas), MaxDeltas)
	}
	if err := (Blob{a.Key, a.Size, a.SHA256}).validate(version, MaxArtifactBytes); err != nil {
		return err
	}
	if err := a.validateChunks(); err != nil {
		return err
	}
	if a.ChunkList != nil {
		if len(a.Chunks) > 0 {
			return fmt.Errorf("chunks and chunk_list: want one of them")
		}
		if err := a.ChunkList.validate(version, MaxChunkListBytes); err != nil {
			return fmt.Errorf("chunk_list: %w", err)
		}
	}
	if err := a.validateImage(); err != nil {
		return err
	}
	if a.Index != nil {
		if err := a.Index.validate(version, MaxIndexBytes); err != nil {
			return fmt.Errorf("index: %w", err)
		}
	}
	bases := map[string]bool{}
	for _, d := range a.Deltas {
		if err := d.validate(version); err != nil {
			return fmt.Errorf("delta: %w", err)
		}
		if bases[d.Base] {
			return fmt.Errorf("two deltas from %s", d.Base)
		}
		bases[d.Base] = true
	}
	return nil
}

// validateChunks sums with care: sizes that only add up by overflowing would
// let one byte be verified in place of another.
func (a Artifact) validateChunks() error {
	if len(a.Chunks) == 0 {
		return nil
	}
	framed := a.Framed()
	var total int64
	for i, c := range a.Chunks {
		switch {
		case c.Size < 1 || c.Size > MaxChunkBytes || c.SHA256 == Digest{}:
			return fmt.Errorf("chunk %d: want a size of 1 to %d and a sha256", i, MaxChunkBytes)
		case c.Plain < 0 || c.Plain > MaxChunkPlain:
			return fmt.Errorf("chunk %d: plain %d, want at most %d", i, c.Plain, MaxChunkPlain)
		case framed != (c.Plain > 0):
			return fmt.Errorf("chunk %d: plain on some chunks", i)
		}
		if total > math.MaxInt64-c.Size {
			return fmt.Errorf("chunk %d: sizes overflow", i)
		}
		total += c.Size
	}
	if total != a.Size {
		return fmt.Errorf("chunks are %d bytes together, the artifact %d", total, a.Size)
	}
	return nil
}

// validateImage checks that the chunks are the pieces of the image.
func (a Artifact) validateImage() error {
	if a.Image == nil {
		return nil
	}
	left := a.Image.Size
	if left < 1 || left > MaxArtifactBytes || a.Image.Pieces == (Digest{}) {
		return fmt.Errorf("image: want a size of 1 to %d and the hash of its pieces", int64(MaxArtifactBytes))
	}
	if len(a.Deltas) > 0 {
		return fmt.Errorf("image: deltas are for trees")
	}
	if a.WantsChunks() {
		return nil // once they are known
	}
	for i, c := range a.Chunks {
		plain := c.Size
		if a.Framed() {
			plain = c.Plain
		}
		if plain != min(left, ChunkBytes) {
			return fmt.Errorf("image: chunk %d has %d bytes, want %d", i, plain, min(left, ChunkBytes))
		}
		left -= plain
	}
	if left != 0 {
		return fmt.Errorf("image: %d bytes more than its chunks", left)
	}
	return nil
}

func (b Blob) validate(version string, limit int64) error {
	if err := checkKey(b.Key, version); err != nil {
		return err
	}
	if b.Size < 1 || b.Size > limit {
		return fmt.Errorf("size %d, want 1 to %d", b.Size, limit)
	}
	if b.SHA256 == (Digest{}) {
		return fmt.Errorf("sha256 is missing")
	}
	return nil
}

// Object is the delta as something to be downloaded whole.
func (d Delta) Object() Artifact { return Artifact{Key: d.Key, Size: d.Size, SHA256: d.SHA256} }

func (d Delta) validate(version string) error {
	if err := CheckVersion(d.Base); err != nil {
		return err
	}
	return Blob{d.Key, d.Size, d.SHA256}.validate(version, MaxArtifactBytes)
}

// Validate checks that every command is inside the tree.
func (h Hooks) Validate() error {
	for name, argv := range map[string][]string{"pre_start": h.PreStart, "post_start": h.PostStart, "pre_stop": h.PreStop} {
		if err := checkCommand(argv); err != nil {
			return fmt.Errorf("hooks.%s: %w", name, err)
		}
	}
	return nil
}

// Validate allows at most one kind of check, which every instance can make; its
// command must be inside the tree.
func (h Health) Validate() error {
	kinds := 0
	for _, set := range []bool{h.URL != "", h.TCP != "", len(h.Command) > 0} {
		if set {
			kinds++
		}
	}
	switch {
	case kinds > 1:
		return fmt.Errorf("health: want at most one of url, tcp and command")
	case h.Status != "" && (h.TCP != "" || len(h.Command) > 0):
		return fmt.Errorf("health.status: goes with a url only")
	}
	if h.URL != "" {
		if err := CheckProbeURL(h.URL); err != nil {
			return fmt.Errorf("health.url: %w", err)
		}
	}
	if h.TCP != "" {
		if err := CheckProbeTCP(h.TCP); err != nil {
			return fmt.Errorf("health.tcp: %w", err)
		}
	}
	if err := checkCommand(h.Command); err != nil {
		return fmt.Errorf("health.command: %w", err)
	}
	return nil
}

// checkCommand requires a release's own command to be inside its tree: a
// relative path without "..".
func checkCommand(argv []string) error {
	if len(argv) == 0 {
		return nil
	}
	if len(argv) > maxArguments {
		return fmt.Errorf("%d arguments, want at most %d", len(argv), maxArguments)
	}
	for part := range strings.SplitSeq(argv[0], "/") {
		if part == "" || part == "." || part == ".." {
			return fmt.Errorf("%q is not a path inside the tree", clip(argv[0]))
		}
	}
	for _, arg := range argv {
		if strings.ContainsRune(arg, 0) {
			return fmt.Errorf("an argument with a NUL byte")
		}
	}
	return nil
}
