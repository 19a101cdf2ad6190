package artifacts_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"koboshi/artifacts"
)

func move() artifacts.Move {
	p := pointer()
	to, _ := p.Position()
	return artifacts.Move{
		Schema: 1, App: "web", Channel: "stable", At: issued, To: to, Reason: "why",
		From: &artifacts.Position{Sequence: 6, Payload: artifacts.Sum([]byte("p")), Version: "1.4.1", ManifestSHA256: artifacts.Sum([]byte("m"))},
	}
}

func TestMove(t *testing.T) {
	first, second := newKey(t), newKey(t)
	m := move()
	envelope, err := m.Sign(first, second)
	if err != nil {
		t.Fatal(err)
	}
	key := artifacts.MoveKey("stable", m.To.At())
	v, err := trusting(t, 2, first, second, newKey(t)).Move(envelope, "web", "stable", key)
	if err != nil {
		t.Fatal(err)
	}
	by := []string{first.Public().ID(), second.Public().ID()}
	slices.Sort(by)
	if !slices.Equal(v.By(), by) || v.Move().Reason != "why" || v.Move().To != m.To || *v.Move().From != *m.From {
		t.Errorf("got %+v by %q", v.Move(), v.By())
	}
	signed, err := pointer().Sign(first)
	if err != nil {
		t.Fatal(err)
	}
	p, err := trusting(t, 1, first).Pointer(signed, "web", "stable")
	if err != nil || p.Position() != m.To {
		t.Errorf("the pointer's position is %+v (%v), the entry's %+v", p.Position(), err, m.To)
	}
}

func TestMoveRefuses(t *testing.T) {
	key := newKey(t)
	trust := trusting(t, 1, key)
	at := artifacts.MoveKey("stable", move().To.At())
	for name, c := range map[string]struct {
		app, channel, key string
		by                artifacts.PrivateKey
	}{
		"of another app":     {"api", "stable", at, key},
		"of another channel": {"web", "canary", at, key},
		"at another place":   {"web", "stable", strings.Replace(at, "/7-", "/8-", 1), key},
		"of a stranger":      {"web", "stable", at, newKey(t)},
	} {
		envelope, err := move().Sign(c.by)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := trust.Move(envelope, c.app, c.channel, c.key); !errors.Is(err, artifacts.ErrUntrusted) {
			t.Errorf("%s: %v", name, err)
		}
	}
	envelope, err := pointer().Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := trust.Move(envelope, "web", "stable", at); !errors.Is(err, artifacts.ErrUntrusted) {
		t.Errorf("a pointer: %v", err)
	}
	envelope, err = move().Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := trust.Pointer(envelope, "web", "stable"); !errors.Is(err, artifacts.ErrUntrusted) {
		t.Errorf("as a pointer: %v", err)
	}
}

func TestInvalidMoves(t *testing.T) {
	for name, spoil := range map[string]func(*artifacts.Move){
		"schema":        func(m *artifacts.Move) { m.Schema = 2 },
		"app":           func(m *artifacts.Move) { m.App = "../web" },
		"channel":       func(m *artifacts.Move) { m.Channel = "" },
		"no time":       func(m *artifacts.Move) { m.At = time.Time{} },
		"no sequence":   func(m *artifacts.Move) { m.To.Sequence = 0 },
		"no payload":    func(m *artifacts.Move) { m.To.Payload = artifacts.Digest{} },
		"no manifest":   func(m *artifacts.Move) { m.To.ManifestSHA256 = artifacts.Digest{} },
		"version":       func(m *artifacts.Move) { m.To.Version = "a b" },
		"next":          func(m *artifacts.Move) { m.To.Next = &artifacts.Next{Version: "1", Percent: 5} },
		"from later":    func(m *artifacts.Move) { m.From.Sequence = m.To.Sequence },
		"from nothing":  func(m *artifacts.Move) { m.From.Version = "" },
		"reason":        func(m *artifacts.Move) { m.Reason = "a\nb" },
		"a long reason": func(m *artifacts.Move) { m.Reason = strings.Repeat("x", artifacts.MaxReason+1) },
	} {
		m := move()
		from := *m.From
		m.From = &from
		spoil(&m)
		if _, err := m.Sign(newKey(t)); err == nil {
			data, _ := json.Marshal(m)
			t.Errorf("%s: %s was signed", name, data)
		}
	}
	m := move()
	m.From, m.Reason = nil, ""
	if _, err := m.Sign(newKey(t)); err != nil {
		t.Errorf("of a new channel, without a reason: %v", err)
	}
}
