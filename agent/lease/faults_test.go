package lease_test

import (
	"errors"
	"testing"
	"time"

	"koboshi/agent/lease"
	"koboshi/agent/lease/leasetest"
	"koboshi/artifacts/bucket"
)

var (
	one = lease.IDs{First: 7, Last: 7}
	two = lease.IDs{First: 7, Last: 8}
	few = lease.IDs{First: 0, Last: 15}
)

// lostSwap is one that takes effect, and whose answer is lost.
var lostSwap = leasetest.Fault{Op: leasetest.Swap, Times: 1, Err: leasetest.ErrLostAnswer, Applied: true}

// held is the item of a tenure, or the end of the test.
func held(t *testing.T, m *leasetest.Memory, tenure lease.Tenure) lease.Item {
	t.Helper()
	i, ok := m.Items()[tenure.ID]
	if !ok || !tenure.Mine(i) || i.HW != tenure.Until {
		t.Fatalf("the table has %+v (%v), want that of %+v", i, ok, tenure)
	}
	return i
}

func TestAnswerOfAClaimIsLost(t *testing.T) {
	overTables(t, func(t *testing.T, m *leasetest.Memory) {
		m.Fail(lostSwap)
		tenure := claim(t, holder(m, 1, one))
		if held(t, m, tenure); tenure.Gen != 1 || tenure.Floor != -1 || m.Calls("") != 3 {
			t.Errorf("%+v after %d calls", tenure, m.Calls(""))
		}
	})
}

// A claim whose answer is lost, with the read that follows, is settled by the next claim:
// no id is locked by a holder that does not know of it.
func TestAnswerOfAClaimIsLostForLonger(t *testing.T) {
	overTables(t, func(t *testing.T, m *leasetest.Memory) {
		first := claim(t, holder(m, 1, one))
		<-time.After(2 * time.Hour)
		h := holder(m, 2, few)
		h.IDs = one
		m.Fail(lostSwap)
		m.Fail(leasetest.Fault{Op: leasetest.Get, Skip: gets(m), Times: 1, Err: leasetest.ErrLostAnswer})
		if tenure, err := h.Claim(t.Context()); !errors.Is(err, leasetest.ErrLostAnswer) {
			t.Fatalf("claimed %+v: %v", tenure, err)
		}
		tenure := claim(t, h)
		if held(t, m, tenure); tenure.Gen != 2 || tenure.Floor != first.Until+slackMillis || m.Calls(leasetest.Swap) != 2 {
			t.Errorf("%+v after %d swaps", tenure, m.Calls(leasetest.Swap))
		}
		if renewed, err := h.Renew(t.Context(), tenure); err != nil || renewed.Floor != tenure.Floor {
			t.Errorf("renewed to %+v: %v", renewed, err)
		}
		if err := h.Release(t.Context(), tenure, tenure.Until); err != nil {
			t.Fatal(err)
		}
		before := m.Calls("")
		if claim(t, h); m.Calls("")-before != 2+gets(m) {
			t.Errorf("the next claim took %d calls: nothing is open any more", m.Calls("")-before)
		}
	})
}

// gets is how many reads a claim makes before its swap.
func gets(m *leasetest.Memory) int {
	if m.ShardSize() == 256 {
		return 1
	}
	return 0
}

// A claim that arrives a minute late finds another item, be it the claimant's own.
func TestClaimArrivesLate(t *testing.T) {
	overTables(t, func(t *testing.T, m *leasetest.Memory) {
		late := leasetest.Fault{Op: leasetest.Swap, Times: 1, Err: leasetest.ErrLostAnswer, Again: []time.Duration{time.Minute}}
		for name, next := range map[string]int{"its own": 1, "another's": 2} {
			ids := lease.IDs{First: next, Last: next}
			h := holder(m, 1, ids)
			m.Fail(late)
			if _, err := h.Claim(t.Context()); !errors.Is(err, leasetest.ErrLostAnswer) {
				t.Fatalf("%s: claimed: %v", name, err)
			}
			other := h
			if next != 1 {
				other = holder(m, next, ids)
			}
			<-time.After(time.Second)
			tenure := claim(t, other)
			<-time.After(2 * time.Minute)
			held(t, m, tenure)
			if renewed, err := other.Renew(t.Context(), tenure); err != nil || renewed.Until <= tenure.Until {
				t.Errorf("%s: renewed to %+v: %v", name, renewed, err)
			}
		}
	})
}

// Where nothing but the late claim is there, it locks its id for one lease, and its
// claimant, once it asks, has it.
func TestClaimIsAloneAndLate(t *testing.T) {
	overTables(t, func(t *testing.T, m *leasetest.Memory) {
		h := holder(m, 1, one)
		m.Fail(leasetest.Fault{Op: leasetest.Swap, Times: 1, Err: leasetest.ErrLostAnswer, Again: []time.Duration{time.Second}})
		if _, err := h.Claim(t.Context()); err == nil {
			t.Fatal("claimed")
		}
		<-time.After(time.Minute)
		if _, err := holder(m, 2, one).Claim(t.Context()); !errors.Is(err, lease.ErrNone) {
			t.Errorf("another one claimed: %v", err)
		}
		held(t, m, claim(t, h))
	})
}

func TestAnswerOfARenewalIsLost(t *testing.T) {
	overTables(t, func(t *testing.T, m *leasetest.Memory) {
		h := holder(m, 1, one)
		tenure := claim(t, h)
		<-time.After(20 * time.Minute)
		m.Fail(lostSwap)
		renewed, err := h.Renew(t.Context(), tenure)
		if err != nil || renewed.Until != time.Now().UnixMilli()+leaseMillis {
			t.Fatalf("renewed to %+v: %v", renewed, err)
		}
		held(t, m, renewed)

		<-time.After(20 * time.Minute)
		m.Fail(leasetest.Fault{Op: leasetest.Swap, Times: 1, Err: leasetest.ErrLostAnswer})
		if again, err := h.Renew(t.Context(), renewed); !errors.Is(err, leasetest.ErrLostAnswer) || again != renewed {
			t.Errorf("a renewal that was not stored: %+v, %v", again, err)
		}
		held(t, m, renewed)
		m.Fail(leasetest.Fault{Op: leasetest.Swap, Times: 2, Err: lease.ErrBusy})
		if renewed, err = h.Renew(t.Context(), renewed); err != nil {
			t.Errorf("a renewal after two conflicts: %v", err)
		}
		held(t, m, renewed)
	})
}

// A renewal that arrives late, whatever has happened since, changes nothing.
func TestRenewalArrivesLate(t *testing.T) {
	overTables(t, func(t *testing.T, m *leasetest.Memory) {
		h := holder(m, 1, one)
		tenure := claim(t, h)
		m.Fail(leasetest.Fault{Op: leasetest.Swap, Times: 1, Err: leasetest.ErrLostAnswer, Again: []time.Duration{time.Minute, 10 * time.Minute, 3 * time.Hour}})
		<-time.After(time.Second)
		if _, err := h.Renew(t.Context(), tenure); err == nil {
			t.Fatal("renewed")
		}
		<-time.After(30 * time.Second)
		renewed, err := h.Renew(t.Context(), tenure)
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(2 * time.Minute)
		held(t, m, renewed)
		mark := time.Now().UnixMilli()
		if err := h.Release(t.Context(), renewed, mark); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Hour)
		if i := m.Items()[7]; i.State != lease.Free || i.HW != mark {
			t.Errorf("after the release there is %+v", i)
		}
		next := claim(t, holder(m, 2, one))
		<-time.After(2*time.Hour + time.Minute)
		held(t, m, next)
	})
}

func TestAnswerOfAReleaseIsLost(t *testing.T) {
	overTables(t, func(t *testing.T, m *leasetest.Memory) {
		h := holder(m, 1, one)
		tenure := claim(t, h)
		<-time.After(time.Minute)
		mark := time.Now().UnixMilli()
		m.Fail(leasetest.Fault{Op: leasetest.Swap, Times: 1, Err: leasetest.ErrLostAnswer})
		if err := h.Release(t.Context(), tenure, mark); !errors.Is(err, leasetest.ErrLostAnswer) {
			t.Errorf("a release that was not stored: %v", err)
		}
		held(t, m, tenure)
		m.Fail(lostSwap)
		if err := h.Release(t.Context(), tenure, mark); err != nil {
			t.Errorf("a release whose answer was lost: %v", err)
		}
		if i := m.Items()[7]; i.State != lease.Free || i.HW != mark || i.Slack != 0 {
			t.Errorf("released as %+v", i)
		}
	})
}

// A release by a process that knows of no version needs a read. An app that did not look
// may have used more than the table allowed: that counts.
func TestReleaseAfterARestart(t *testing.T) {
	overTables(t, func(t *testing.T, m *leasetest.Memory) {
		tenure := claim(t, holder(m, 1, one))
		mark := tenure.Until + 1234
		if err := holder(m, 1, one).Release(t.Context(), tenure, mark); err != nil {
			t.Fatal(err)
		}
		if i := m.Items()[7]; i.State != lease.Free || i.HW != mark {
			t.Errorf("released as %+v", i)
		}
		tenure = claim(t, holder(m, 2, one))
		before := m.Calls("")
		renewed, err := holder(m, 2, one).Renew(t.Context(), tenure)
		if n := m.Calls("") - before; err != nil || n != 2 {
			t.Errorf("a renewal after a restart took %d calls: %v", n, err)
		}
		held(t, m, renewed)
	})
}

// What makes a lease lost, and what only leaves open whether it is.
func TestLost(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, m *leasetest.Memory, tenure lease.Tenure)
		want  error
	}{
		"taken over": {func(t *testing.T, m *leasetest.Memory, _ lease.Tenure) {
			<-time.After(2 * time.Hour)
			claim(t, holder(m, 2, one))
		}, lease.ErrLost},
		"freed by an operator": {func(t *testing.T, m *leasetest.Memory, tenure lease.Tenure) {
			seen, err := m.Get(t.Context(), 7)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := lease.FreeDead(t.Context(), m, seen, seen.Item.Owner, time.Now()); err != nil {
				t.Fatal(err)
			}
		}, lease.ErrLost},
		"deleted by hand": {func(_ *testing.T, m *leasetest.Memory, _ lease.Tenure) { m.Drop(7) }, lease.ErrLost},
		"garbage":         {func(_ *testing.T, m *leasetest.Memory, _ lease.Tenure) { m.Put(7, []byte("garbage")) }, lease.ErrItem},
		"the table is down": {func(_ *testing.T, m *leasetest.Memory, _ lease.Tenure) {
			m.Down(leasetest.ErrLostAnswer)
		}, leasetest.ErrLostAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			overTables(t, func(t *testing.T, m *leasetest.Memory) {
				h := holder(m, 1, one)
				tenure := claim(t, h)
				c.spoil(t, m, tenure)
				was, over := string(m.Bytes(7)), errors.Is(c.want, lease.ErrLost)
				if got, err := h.Renew(t.Context(), tenure); !errors.Is(err, c.want) || errors.Is(err, lease.ErrLost) != over || got != tenure {
					t.Errorf("renew: %+v and %v, want %v", got, err, c.want)
				}
				if err := h.Release(t.Context(), tenure, tenure.Until); over != (err == nil) || !over && !errors.Is(err, c.want) {
					t.Errorf("release: %v", err)
				}
				if got := string(m.Bytes(7)); got != was {
					t.Errorf("it was written over: %s", got)
				}
			})
		})
	}
}

// A clock that is not the table's claims and renews nothing: what was written before the
// answer told of it is given back.
func TestClockIsWrong(t *testing.T) {
	for name, skew := range map[string]time.Duration{"behind": 3 * time.Minute, "ahead": -3 * time.Minute, "an hour behind": time.Hour, "days behind": 72 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			overTables(t, func(t *testing.T, m *leasetest.Memory) {
				m.Skew(skew)
				h := holder(m, 1, one)
				if tenure, err := h.Claim(t.Context()); !errors.Is(err, lease.ErrClock) {
					t.Fatalf("claimed %+v: %v", tenure, err)
				}
				if i := m.Items()[7]; i.State != lease.Free || i.HW != 0 {
					t.Errorf("left %+v", i)
				}
				before := m.Calls(leasetest.Swap)
				if _, err := h.Claim(t.Context()); !errors.Is(err, lease.ErrClock) || m.Calls(leasetest.Swap) != before {
					t.Errorf("claimed again, with %d swaps: %v", m.Calls(leasetest.Swap)-before, err)
				}
				m.Skew(0)
				tenure := claim(t, h)
				<-time.After(10 * time.Minute)
				m.Skew(skew)
				for range 3 {
					before = m.Calls(leasetest.Swap)
					if got, err := h.Renew(t.Context(), tenure); !errors.Is(err, lease.ErrClock) || got != tenure {
						t.Errorf("renewed to %+v: %v", got, err)
					}
				}
				if n := m.Calls(leasetest.Swap) - before; n != 0 {
					t.Errorf("a clock that is known to be wrong made %d swaps", n)
				}
				m.Skew(0)
				if got, err := h.Renew(t.Context(), tenure); err != nil || got.Until != time.Now().UnixMilli()+leaseMillis {
					t.Errorf("renewed to %+v: %v", got, err)
				}
			})
		})
	}
}

// Two minutes are no error, and neither is an answer that takes ten.
func TestClockIsRightEnough(t *testing.T) {
	overTables(t, func(t *testing.T, m *leasetest.Memory) {
		m.Skew(2 * time.Minute)
		claim(t, holder(m, 1, lease.IDs{First: 1, Last: 1}))
		m.Skew(-119 * time.Second)
		claim(t, holder(m, 2, lease.IDs{First: 2, Last: 2}))
		m.Skew(0)
		m.Latency(func() time.Duration { return 10 * time.Minute })
		claim(t, holder(m, 3, lease.IDs{First: 3, Last: 3}))
		m.Undated()
		claim(t, holder(m, 4, lease.IDs{First: 4, Last: 4}))
	})
}

// A table that denies writes, or is away, is the table's error, soon, and not that none
// is left.
func TestTableRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		fault leasetest.Fault
		want  error
	}{
		"denies writes only": {leasetest.Fault{Op: leasetest.Swap, Err: bucket.ErrDenied}, bucket.ErrDenied},
		"denies lists":       {leasetest.Fault{Op: leasetest.List, Err: bucket.ErrDenied}, bucket.ErrDenied},
		"is away":            {leasetest.Fault{Err: leasetest.ErrLostAnswer}, leasetest.ErrLostAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			overTables(t, func(t *testing.T, m *leasetest.Memory) {
				m.Fail(c.fault)
				_, err := holder(m, 1, few).Claim(t.Context())
				if !errors.Is(err, c.want) || errors.Is(err, lease.ErrNone) || m.Calls("") > 3 {
					t.Errorf("after %d calls: %v", m.Calls(""), err)
				}
				if len(m.Items()) > 0 {
					t.Errorf("it has %v", m.Items())
				}
			})
		})
	}
}
