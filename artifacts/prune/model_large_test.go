//go:build model

package prune

import "testing"

// large are the worlds of make model.
var large = []bounds{
	{last: 5, runs: 2, others: 1, promotions: 2, moves: 1},
	{last: 5, runs: 2, others: 1, promotions: 1, keeps: 2},
	{last: 6, runs: 3, others: 1, promotions: 1, deaths: 1},
	{last: 6, runs: 2, others: 1, promotions: 1, publishes: true},
}

func TestModelLarge(t *testing.T) { holds(t, large, 1_000_000) }
