package main

import (
	"runtime/debug"
	"testing"

	"koboshi/artifacts"
)

func TestChooseProfile(t *testing.T) {
	for memory, small := range map[int64]bool{64 << 20: true, 512 << 20: true, 1 << 30: true, 2 << 30: false, 1 << 40: false} {
		p := chooseProfile(memory)
		if slots := int64(p.archive.Workers * p.archive.SlotBytes); small != (p.heap+slots <= 52<<20 && slots > 0) {
			t.Errorf("%d MiB: %+v", memory>>20, p)
		}
		if small != (p.window == 0) {
			t.Errorf("%d MiB: a window of %d bytes", memory>>20, p.window)
		}
		if slots := p.image.Workers * p.image.SlotBytes; !small && (p.file.Workers != 0 || slots > 48<<20 || p.archive.Workers*p.archive.SlotBytes > 32<<20) {
			t.Errorf("%d MiB: %+v", memory>>20, p)
		}
	}
}

// A file is not unpacked, so that its download may take more; a delta is, later.
func TestDownloadFitsTheFormat(t *testing.T) {
	p := chooseProfile(512 << 20)
	for format, want := range map[artifacts.Format]int{artifacts.File: 24 << 20, artifacts.TarZst: 8 << 20} {
		o := p.download(artifacts.Artifact{Format: format, Chunks: make([]artifacts.Chunk, 1)})
		if got := o.Workers * o.SlotBytes; got != want {
			t.Errorf("%s: %d bytes, want %d", format, got, want)
		}
	}
	if file := p.download(artifacts.Artifact{Format: artifacts.File, Chunks: make([]artifacts.Chunk, 1)}); !file.AnyOrder {
		t.Error("the chunks of a file come in order")
	}
	for size, plain := range map[int]int64{24 << 20: 0, 8 << 20: 1} {
		o := p.download(artifacts.Artifact{Format: artifacts.Erofs, Image: &artifacts.Image{}, Chunks: []artifacts.Chunk{{Plain: plain}}})
		if !o.AnyOrder || o.Workers*o.SlotBytes != size {
			t.Errorf("an image: %+v", o)
		}
	}
	if o := p.download(artifacts.Delta{}.Object()); o.AnyOrder || o.Workers*o.SlotBytes != 8<<20 {
		t.Errorf("a delta: %+v", o)
	}
}

// GOMEMLIMIT makes any machine a small one.
func TestMemoryLimitCounts(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(-1))
	whole := memory()
	debug.SetMemoryLimit(64 << 20)
	if got := memory(); got != 64<<20 || whole <= got {
		t.Errorf("%d bytes of %d", got, whole)
	}
}
