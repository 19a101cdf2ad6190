package artifacts

import (
	"fmt"

	"github.com/go-json-experiment/json"
)

// ChunkListAgent is the first agent that reads chunk lists.
const ChunkListAgent = "0.2.0"

// ImageAgent is the first agent that takes one of several artifacts for a platform: its
// tree, or an image of it.
const ImageAgent = "0.2.0"

// MaxChunkListBytes bounds a chunk list, as [MaxManifestBytes] bounds the chunks of a
// manifest: some 37,000 of them, of up to 4 MiB of plain bytes each.
const MaxChunkListBytes = 4 << 20

// ChunkListKey is where the chunk list of an artifact is stored, relative to an app's
// prefix.
func ChunkListKey(app, version, os, arch string, sum Digest) string {
	return ArtifactKey(app, version, os, arch, sum, File) + ".chunks.json"
}

// Listed is the artifact with its chunks in an object of their own, whose bytes it
// returns, too. An artifact without chunks stays as it is, and list is nil.
func (a Artifact) Listed(app, version string) (_ Artifact, list []byte, err error) {
	if len(a.Chunks) == 0 {
		return a, nil, nil
	}
	if list, err = json.Marshal(a.Chunks); err != nil {
		return a, nil, err
	}
	if len(list) > MaxChunkListBytes {
		return a, nil, fmt.Errorf("the chunk list for %s/%s has %d bytes, at most %d are read", a.OS, a.Arch, len(list), MaxChunkListBytes)
	}
	sum := Sum(list)
	a.Chunks, a.ChunkList = nil, &Blob{Key: ChunkListKey(app, version, a.OS, a.Arch, sum), Size: int64(len(list)), SHA256: sum}
	return a, list, nil
}

// WantsChunks reports whether the chunks are in an object that has to be read before
// the artifact is.
func (a Artifact) WantsChunks() bool { return a.ChunkList != nil && len(a.Chunks) == 0 }

// WithChunks is the artifact with the chunks of its list. Other bytes than the signed
// ones are [ErrIntegrity]; signed ones that are no list of chunks which cover the
// artifact are [ErrUntrusted], as if the manifest had them.
func (a Artifact) WithChunks(list []byte) (Artifact, error) {
	if !a.WantsChunks() {
		return a, fmt.Errorf("%s has no chunk list", a.Key)
	}
	b := *a.ChunkList
	if err := CheckSum(b.Key, list, b.Size, b.SHA256); err != nil {
		return a, err
	}
	var chunks []Chunk
	if err := unmarshalStrict(list, &chunks); err != nil {
		return a, untrusted("%s: %w", b.Key, err)
	}
	if len(chunks) == 0 {
		return a, untrusted("%s: no chunks", b.Key)
	}
	full := a
	full.Chunks = chunks
	for _, err := range []error{full.validateChunks(), full.validateImage()} {
		if err != nil {
			return a, untrusted("%s: %w", b.Key, err)
		}
	}
	return full, nil
}

// LaunchBytes is what a launch fetches of it: itself, its index and its chunk list.
func (a Artifact) LaunchBytes() (n int64) {
	a.Deltas = nil
	for _, b := range a.Blobs() {
		n += b.Size
	}
	return n
}
