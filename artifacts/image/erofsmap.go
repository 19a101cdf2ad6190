package image

import "encoding/binary"

// Types of clusters.
const (
	clusterPlain  = 0 // head of an extent that is not compressed
	clusterHead   = 1
	clusterWithin = 2
)

// zipMap is the map of one file.
type zipMap struct {
	e     *erofs
	at    int64 // of the first cluster, in the image
	count int64 // of clusters
	four  int64 // clusters before the packs of 16
	big   bool
	full  bool
}

func newZipMap(e *erofs, at, count int64, advice uint16) *zipMap {
	z := &zipMap{e: e, at: at, count: count, four: count, big: advice&zipBig != 0}
	if first := (erofsSlot - at%erofsSlot) / 4 % 8; advice&zipPacks16 != 0 && first < count {
		z.four = first
	}
	return z
}

// cluster is one entry of a map.
type cluster struct {
	kind   int
	offset int64 // of a head: the byte of the cluster at which its extent begins
	block  int64 // of a head: where the extent is
	back   int64 // within: clusters to the head, at most
	ahead  int64 // within: clusters to the next head, at most; 0 = not said
	blocks int64 // within: how many blocks the extent has; -1 = not said. A fragment has none
}

// pack is some clusters that share the number of a block.
type pack struct {
	bytes []byte
	count int64
	bits  int64 // of a cluster
	first int64 // the cluster in it that is asked for
}

// packOf finds the pack with a cluster.
func (z *zipMap) packOf(i int64) (p pack, err error) {
	at, shift := z.at, int64(2)
	if i >= z.four {
		at, i = at+4*z.four, i-z.four
		if in16 := (z.count - z.four) &^ 15; i < in16 {
			shift = 1
		} else {
			at, i = at+2*in16, i-in16
		}
	}
	p.count = 2
	if shift == 1 {
		p.count = 16
	}
	at += i << shift
	length := p.count << shift
	p.bits, p.first = (length-4)*8/p.count, at%length>>shift
	p.bytes, err = z.e.bytesAt(at&^(length-1), length)
	return p, err
}

// decode is the type and the number of a cluster in its pack.
func (p pack) decode(i int64) (kind int, number int64) {
	at := i * p.bits
	v := int64(binary.LittleEndian.Uint32(p.bytes[at/8:])) >> (at % 8)
	return int(v >> 12 & 3), v & 0xfff
}

// cluster reads an entry as the kernel does.
func (z *zipMap) cluster(i int64) (cluster, error) {
	if z.full {
		return z.entry(i)
	}
	return z.packed(i)
}

// entry reads one of a full map.
func (z *zipMap) entry(i int64) (c cluster, err error) {
	b, err := z.e.bytesAt(z.at+zipEntry*i, zipEntry)
	if err != nil {
		return c, err
	}
	le := binary.LittleEndian
	kind := le.Uint16(b)
	c.kind, c.blocks = int(kind), -1
	switch {
	case kind > clusterWithin:
		return c, refuseZip("erofs: a cluster of the second algorithm, or of an extent that another file has in part (%#x)", kind)
	case kind != clusterWithin:
		c.offset, c.block = int64(le.Uint16(b[2:])), int64(le.Uint32(b[4:]))
		if c.offset >= erofsBlock {
			err = refuse("erofs: an extent that begins at byte %d of a cluster", c.offset)
		}
		return c, err
	}
	c.back, c.ahead = int64(le.Uint16(b[4:])), int64(le.Uint16(b[6:]))
	if c.back&zipCount != 0 {
		c.back, c.blocks = 1, c.back&^zipCount
	}
	return c, nil
}

// packed reads one of a compact map.
func (z *zipMap) packed(i int64) (c cluster, err error) {
	p, err := z.packOf(i)
	if err != nil {
		return c, err
	}
	var number int64
	c.blocks = -1
	c.kind, number = p.decode(p.first)
	switch {
	case c.kind > clusterWithin:
		return c, refuseZip("erofs: a cluster of the second algorithm")
	case c.kind != clusterWithin:
		c.offset = number
		c.block, err = z.block(p)
		return c, err
	case number&zipCount != 0:
		c.back, c.blocks = 1, number&^zipCount
	case p.first+1 < p.count:
		c.back = number
	default: // the last of a pack says how far the next head is
		c.ahead = number
		kind, before := p.decode(p.first - 1)
		if kind != clusterWithin {
			before = 0
		} else if before&zipCount != 0 {
			before = 1
		}
		c.back = before + 1
	}
	return c, nil
}

// block adds the blocks of the extents before, in the pack, to its number.
func (z *zipMap) block(p pack) (int64, error) {
	var blocks int64
	if !z.big {
		blocks = 1
	}
	for i := p.first; i > 0; {
		i--
		kind, number := p.decode(i)
		switch {
		case kind != clusterWithin:
			blocks++
		case !z.big:
			if i -= number; i >= 0 {
				blocks++
			}
		case number&zipCount != 0:
			i--
			blocks += number &^ zipCount
		case number <= 1:
			return 0, refuse("erofs: a cluster that is %d from its head", number)
		default:
			i -= number - 2
		}
	}
	return int64(binary.LittleEndian.Uint32(p.bytes[len(p.bytes)-4:])) + blocks, nil
}
