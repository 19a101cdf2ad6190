package model

import (
	"bytes"
	"slices"
)

// key is a state in few bytes, the same for states that differ only in the names of
// processes and nonces and in the order of the requests.
type key [64]byte

// keyOf is the least of the keys that the orders of the processes give.
func keyOf(s *state, orders [][]int) key {
	least := pack(s, orders[0])
	for _, order := range orders[1:] {
		if k := pack(s, order); bytes.Compare(k[:], least[:]) < 0 {
			least = k
		}
	}
	return least
}

// ordersOf is every order of so many processes.
func ordersOf(procs int) [][]int {
	orders := [][]int{nil}
	for p := range procs {
		var longer [][]int
		for _, o := range orders {
			for at := range len(o) + 1 {
				longer = append(longer, slices.Insert(slices.Clone(o), at, p))
			}
		}
		orders = longer
	}
	return orders
}

// packer writes half bytes: numbers from -1 to 14.
type packer struct {
	out   key
	at    int
	names [maxNonces + 1]int8 // of the nonces, by their first appearance
	named int8
}

func (p *packer) put(n int8) {
	p.out[p.at/2] |= byte(n+1) << (p.at % 2 * 4)
	p.at++
}

func (p *packer) bits(b uint8) {
	p.put(int8(b&15) - 1)
	p.put(int8(b>>4) - 1)
}

func (p *packer) flag(b bool) int8 {
	if b {
		return 1
	}
	return 0
}

// name is a nonce's. None stays none.
func (p *packer) name(nonce int8) int8 {
	if nonce > 0 && p.names[nonce] == 0 {
		p.named++
		p.names[nonce] = p.named
	}
	return p.names[nonce]
}

func (p *packer) cell(c cell) {
	p.put(c.gen<<1 | p.flag(c.free))
	p.put(p.name(c.nonce))
	p.put(c.hw)
	p.put(c.slack)
}

func (p *packer) tenure(t tenure) {
	p.put(t.id)
	p.put(t.gen)
	p.put(p.name(t.nonce))
	p.put(t.floor)
	p.put(t.until)
	p.put(t.slack)
}

func (p *packer) proc(r *proc) {
	p.put(int8(r.phase)<<1 | p.flag(r.app.runs))
	p.put(p.name(r.nonce))
	p.put(r.slack)
	p.tenure(r.tenure)
	p.put(r.asked)
	p.put(r.app.id)
	p.put(r.app.first)
	p.put(r.app.end)
	p.bits(r.app.own)
	p.put(r.app.last)
	p.put(r.disk.phase)
	p.tenure(r.disk.tenure)
	p.put(r.disk.mark)
}

func pack(s *state, order []int) key {
	var p packer
	for i, c := range s.table {
		p.cell(c)
		p.bits(s.used[i])
	}
	p.put(s.crashes<<1 | p.flag(s.clash))
	p.put(s.claims)
	var place [maxProcs + 1]int8
	for i, n := range order {
		place[n+1] = int8(i + 1)
		p.proc(&s.procs[n])
	}
	return p.requests(s, place)
}

// requests ends the key: those on their way, sorted.
func (p *packer) requests(s *state, place [maxProcs + 1]int8) key {
	var all [maxRequests][6]byte
	for i, q := range s.requests {
		one := packer{names: p.names, named: p.named}
		one.put(place[q.from])
		one.put(q.id)
		one.put(q.applied)
		one.cell(q.old)
		one.cell(q.new)
		p.names, p.named = one.names, one.named
		copy(all[i][:], one.out[:])
	}
	slices.SortFunc(all[:], func(a, b [6]byte) int { return bytes.Compare(a[:], b[:]) })
	for i, q := range all {
		copy(p.out[len(p.out)-(maxRequests-i)*len(q):], q[:])
	}
	return p.out
}
