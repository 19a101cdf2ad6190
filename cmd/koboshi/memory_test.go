package main

import (
	"runtime/debug"
	"testing"

	"koboshi/artifacts/fetch"
)

func TestChooseProfile(t *testing.T) {
	for memory, small := range map[int64]bool{64 << 20: true, 512 << 20: true, 1 << 30: true, 2 << 30: false, 1 << 40: false} {
		p := chooseProfile(memory)
		if slots := int64(p.download.Workers * p.download.SlotBytes); small != (p.heap+slots <= 52<<20 && slots > 0) {
			t.Errorf("%d MiB: %+v", memory>>20, p)
		}
		if !small && p.download.Workers != (fetch.Options{}).Workers {
			t.Errorf("%d MiB: %+v, want what package fetch takes", memory>>20, p)
		}
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
