package fetch

import (
	"context"
	"testing"
)

// The memory goes back with its last user, and not before.
func TestSlotsAreReturned(t *testing.T) {
	s, err := newSlots(2, 8192)
	if err != nil {
		t.Fatal(err)
	}
	if !s.retain() {
		t.Fatal("no hold on open slots")
	}
	if err := s.drop(); err != nil { // the download's
		t.Fatal(err)
	}
	s.take(t.Context())[0] = 1 // still mapped
	if !s.retain() {
		t.Error("no hold though a frame is out")
	}
	for range 2 {
		if err := s.drop(); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.users.Load(); n != 0 || s.retain() {
		t.Errorf("%d users, and a hold on memory that is gone", n)
	}
}

func TestSlotsEndWithTheContext(t *testing.T) {
	s, err := newSlots(1, 4096)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if s.take(ctx) == nil {
		t.Error("no slot though one is free")
	}
	cancel()
	if s.take(ctx) != nil {
		t.Error("a slot was not given back")
	}
	if err := s.drop(); err != nil {
		t.Error(err)
	}
}
