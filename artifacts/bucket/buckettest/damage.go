package buckettest

import (
	"io"
	"slices"
)

// damage is what happens to an object's bytes on their way out. Its ETag and
// size stay as they are: only a hash shows it.
type damage struct {
	flips    []int64 // offsets whose lowest bit is wrong
	cut      bool
	cutAt    int64 // the body breaks off before this offset
	swap     bool
	swapAt   int64 // once this offset was read …
	swapData []byte
}

// FlipByte makes every later read of the object carry a wrong bit at offset.
func (m *Memory) FlipByte(key string, offset int64) {
	m.hurt(key, func(d *damage) { d.flips = append(d.flips, offset) })
}

// Truncate makes every later read of the object break off before offset, as a
// lost connection does: with io.ErrUnexpectedEOF.
func (m *Memory) Truncate(key string, offset int64) {
	m.hurt(key, func(d *damage) { d.cut, d.cutAt = true, offset })
}

// ReplaceAt puts data in the object's place as soon as its byte at offset has
// been read. A body that is open by then goes on with the old bytes.
func (m *Memory) ReplaceAt(key string, offset int64, data []byte) {
	m.hurt(key, func(d *damage) { d.swap, d.swapAt, d.swapData = true, offset, data })
}

// Replace puts data in the object's place, whatever was there.
func (m *Memory) Replace(key string, data []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.store(key, data)
}

// Drop removes the object; one that is not there stays so.
func (m *Memory) Drop(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.objects, key)
}

// Bytes is what is stored under key, undamaged; nil where there is nothing.
func (m *Memory) Bytes(key string) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.objects[key].data)
}

func (m *Memory) hurt(key string, do func(*damage)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.damages[key] == nil {
		m.damages[key] = &damage{}
	}
	do(m.damages[key])
}

// body reads one range of what an object was when it was opened.
type body struct {
	memory *Memory
	key    string
	data   []byte // from offset at to the end of the range
	at     int64
}

func (b *body) Close() error { return nil }

func (b *body) Read(p []byte) (int, error) {
	b.memory.mu.Lock()
	defer b.memory.mu.Unlock()
	n := min(len(p), len(b.data))
	d := b.memory.damages[b.key]
	if d != nil && d.cut && b.at+int64(n) > d.cutAt {
		n = int(max(0, d.cutAt-b.at))
		if n == 0 {
			return 0, io.ErrUnexpectedEOF
		}
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	copy(p, b.data[:n])
	if d != nil {
		b.spoil(p[:n], d)
	}
	b.data, b.at = b.data[n:], b.at+int64(n)
	return n, nil
}

func (b *body) spoil(p []byte, d *damage) {
	for _, offset := range d.flips {
		if i := offset - b.at; i >= 0 && i < int64(len(p)) {
			p[i] ^= 1
		}
	}
	if d.swap && d.swapAt < b.at+int64(len(p)) {
		d.swap = false
		b.memory.store(b.key, d.swapData)
	}
}
