package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// generator makes ids of the time, the node id and a sequence within the millisecond. It
// keeps the bounds of the node id itself.
type generator struct {
	mu       sync.Mutex
	last     int64 // the millisecond that was used last
	sequence int64 // in it
}

// node is what the app needs of the file that KOBOSHI_NODE_FILE names.
type node struct {
	ID         int64 `json:"node_id"`
	NotBefore  int64 `json:"not_before_ms"`  // nothing is used up to here
	ValidUntil int64 `json:"valid_until_ms"` // nor above this
}

const (
	nodeBits     = 10
	sequenceBits = 12
)

// ServeHTTP answers one id, or why there is none.
func (g *generator) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	id, err := g.next()
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	_, _ = fmt.Fprintln(w, id)
}

func (g *generator) next() (int64, error) {
	data, err := os.ReadFile(filepath.Clean(os.Getenv("KOBOSHI_NODE_FILE")))
	if err != nil {
		return 0, err
	}
	var n node
	if err := json.Unmarshal(data, &n); err != nil {
		return 0, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now().UnixMilli()
	switch {
	case now <= n.NotBefore || now > n.ValidUntil || now < g.last:
		return 0, errors.New("the clock is not within the bounds of the node id")
	case now > g.last:
		g.last, g.sequence = now, 0
	case g.sequence == 1<<sequenceBits-1:
		return 0, errors.New("the millisecond is used up")
	default:
		g.sequence++
	}
	return now<<(nodeBits+sequenceBits) | n.ID<<sequenceBits | g.sequence, nil
}
