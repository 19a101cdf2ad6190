package model

import (
	"koboshi/agent/lease"
	"koboshi/agent/lease/leasetest"
)

const (
	owner = "i" // of every process
	scope = "web"
)

// A lease is so long. As the clock may show anything, so may the mark that is asked for.
const leaseLasts = 1

func (x *explorer) terms(p *proc) lease.Terms {
	return lease.Terms{Lease: leaseLasts, Slack: lease.Millis(p.slack)}
}

// emit uses any moment that the app's bounds allow.
func (x *explorer) emit(s state, n int) {
	if !s.procs[n].app.runs {
		return
	}
	for t := s.procs[n].app.first; t <= s.procs[n].app.end; t++ {
		unit := uint8(1) << (t / x.Unit)
		if s.procs[n].app.own&unit != 0 && s.procs[n].app.last >= t {
			continue // no generator repeats itself
		}
		after := s
		a := &after.procs[n].app
		after.clash = after.used[a.id]&^a.own&unit != 0
		after.used[a.id] |= unit
		a.own |= unit
		a.last = max(a.last, t)
		x.visit(after, event{n + 1, "uses millisecond", t})
	}
}

// claim tries for any id, at any moment by the own clock. Whether the id can be taken is
// judged by that clock too, so any can.
func (x *explorer) claim(s state, n int) {
	for id := range int8(x.IDs) {
		old := s.table[id].item()
		if old != nil {
			old.State = lease.Free
		}
		for now := lease.Millis(-leaseLasts); now < lease.Millis(x.Last); now++ {
			p := &s.procs[n]
			item, t, err := lease.Claimant{Owner: owner, Nonce: nonceOf(p.nonce)}.Claim(scope, int(id), old, x.terms(p), now)
			if err != nil || !x.allowed(item) {
				continue
			}
			after := s
			if x.mutant == leasetest.NoGen && !after.keepGeneration(&item, &t, x.Claims) {
				continue
			}
			if x.mutant == leasetest.NoFloor {
				t.Floor = -1
			}
			p = &after.procs[n]
			p.phase, p.tenure, p.asked, p.disk = claiming, tenureOf(t), x.ask(item.HW), disk{}
			if x.send(&after, n, id, s.table[id], cellOf(item)) {
				x.visit(after, event{n + 1, "sends a claim, to", p.tenure.until})
			}
		}
	}
}

// keepGeneration breaks the rule that each claim has its own. The claims are counted, as
// nothing else bounds them then.
func (s *state) keepGeneration(item *lease.Item, t *lease.Tenure, most int8) bool {
	item.Gen, t.Gen = 1, 1
	s.claims++
	return s.claims <= most
}

// ask remembers the mark that was asked for, where a rule is broken that needs it.
func (x *explorer) ask(hw lease.Millis) int8 {
	if x.mutant != leasetest.OwnValues && x.mutant != leasetest.Unconfirmed {
		return 0
	}
	return int8(hw)
}

// read goes by what the table has, after no answer or any.
func (x *explorer) read(s state, n int) {
	x.resolve(&s, &s.procs[n])
	x.visit(s, event{n + 1, "reads id", s.procs[n].tenure.id})
}

// resolve is a read that shows whether the tenure goes on.
func (x *explorer) resolve(s *state, p *proc) {
	item := s.table[p.tenure.id].item()
	if item == nil {
		x.lose(p)
		return
	}
	real, err := p.tenure.real().Confirmed(*item)
	if err != nil {
		x.lose(p)
		return
	}
	t := tenureOf(real)
	if x.mutant == leasetest.OwnValues {
		t.until = max(t.until, p.asked)
	}
	x.hold(p, t)
}

// hold makes the tenure durable, and then runs the app, if it does not run, with those
// bounds.
func (x *explorer) hold(p *proc, t tenure) {
	p.phase, p.tenure, p.asked = holding, t, 0
	p.disk = disk{phase: held, tenure: t}
	if !p.app.runs {
		p.app = app{runs: true, id: t.id, last: -1}
	}
	x.bind(p, t)
}

// bind tells the app its bounds. One that does not look overruns them by the slack.
func (x *explorer) bind(p *proc, t tenure) {
	slack := p.slack
	if x.mutant == SmallSlack {
		slack = 0
	}
	b := t.real().Bounds(lease.Millis(x.Unit), lease.Millis(slack))
	p.app.first, p.app.end = int8(b.NotBefore)+1, max(int8(b.ValidUntil)+p.slack, -1)
}

// lose is a claim that failed, or a lease that is lost: the app stops.
func (x *explorer) lose(p *proc) {
	*p = proc{nonce: p.nonce, slack: p.slack}
}

func (x *explorer) renew(s state, n int) {
	t := s.procs[n].tenure
	old := s.table[t.id]
	if old.item() == nil {
		return
	}
	for now := lease.Millis(-leaseLasts); now < lease.Millis(x.Last); now++ {
		after := s
		p := &after.procs[n]
		item, err := t.real().Renew(*old.item(), x.terms(p), now)
		if err != nil {
			x.lose(p)
			x.visit(after, event{n + 1, "has lost id", t.id})
			return
		}
		if !x.allowed(item) || cellOf(item) == old {
			continue
		}
		p.phase, p.asked = renewing, x.ask(item.HW)
		if x.mutant == leasetest.Unconfirmed {
			t := t
			t.until = p.asked
			x.bind(p, t)
		}
		if x.send(&after, n, t.id, old, cellOf(item)) {
			x.visit(after, event{n + 1, "sends a renewal, to", int8(item.HW)})
		}
	}
}

// release stops the app, makes that durable, and frees the id. The process may end
// before it sends anything.
func (x *explorer) release(s state, n int) {
	p := &s.procs[n]
	t, mark := p.tenure, x.mark(p)
	x.lose(p)
	p.disk = disk{phase: releasing, tenure: t, mark: mark}
	if x.mutant == leasetest.ReleaseForgotten {
		p.disk.phase = stopped
		p.stop(down)
	}
	x.visit(s, event{n + 1, "ends its tenure of id", t.id})
	item := s.table[t.id].item()
	if item == nil {
		return
	}
	freed, err := t.real().Release(*item, lease.Millis(mark))
	if err != nil {
		return
	}
	c := cellOf(freed)
	if x.mutant == leasetest.Deleted {
		c = cell{}
	}
	if x.send(&s, n, t.id, s.table[t.id], c) {
		x.visit(s, event{n + 1, "ends its tenure and sends a release, mark", mark})
	}
}

// mark is the last moment that the app can have used.
func (x *explorer) mark(p *proc) int8 {
	if x.mutant == leasetest.LowMark {
		return p.app.last - 1
	}
	return p.app.last
}

// stop ends the process, and the app with the machine.
func (p *proc) stop(to phase) {
	p.phase, p.nonce, p.tenure, p.asked = to, 0, tenure{}, 0
	if to == down {
		p.app = app{}
	}
}

// shutDown is a clean stop, before a reboot.
func (x *explorer) shutDown(s state, n int) {
	if s.crashes >= x.Crashes {
		return
	}
	s.crashes++
	p := &s.procs[n]
	p.disk = disk{phase: stopped, tenure: p.tenure, mark: x.mark(p)}
	if x.mutant == leasetest.MarkNotDurable {
		p.disk.mark = -1
	}
	p.stop(down)
	x.visit(s, event{n + 1, "stops cleanly, mark", p.disk.mark})
}

// crash ends the process, alone or with the machine, and with or without its disk.
func (x *explorer) crash(s state, n int) {
	if s.crashes >= x.Crashes {
		return
	}
	s.crashes++
	for _, to := range []phase{agentless, down} {
		if s.procs[n].phase == to {
			continue
		}
		after := s
		after.procs[n].stop(to)
		x.visit(after, event{n + 1, crashed[to], 1})
		after.procs[n].disk = disk{}
		x.visit(after, event{n + 1, crashed[to], 0})
	}
}

var crashed = map[phase]string{agentless: "dies alone, disks left", down: "dies with the machine, disks left"}

// resume is a process that begins, with what the disk has and, where no app runs, any
// slack.
func (x *explorer) resume(s state, n int) {
	boot, slacks := "this", []int8{s.procs[n].slack}
	if s.procs[n].phase == down {
		boot, slacks = "another", []int8{0, x.Slack}[:1+min(x.Slack, 1)]
	}
	for _, slack := range slacks {
		after := s
		p := &after.procs[n]
		p.slack = slack
		x.begin(&after, p)
		x.goOn(&after, p, boot)
		x.visit(after, event{n + 1, "begins, slack", slack})
	}
}

// goOn is what a process does with its record.
func (x *explorer) goOn(s *state, p *proc, boot string) {
	d := p.disk
	record := lease.Record{Instance: owner, Boot: boot, Scope: scope, Tenure: d.tenure.real(), Phase: phases[d.phase], Mark: lease.Millis(d.mark)}
	t, next := record.Resume(owner, "this", scope)
	switch next {
	case lease.GoOn:
		x.hold(p, tenureOf(t))
	case lease.Ask:
		p.tenure = tenureOf(t)
		x.resolve(s, p)
	case lease.ClaimAnew:
		x.lose(p)
	}
}
