package lease_test

import (
	"context"

	"koboshi/agent/lease"
)

// counter counts the calls of one claimant.
type counter struct {
	lease.Table
	calls int
}

func (c *counter) Get(ctx context.Context, id int) (lease.Stored, error) {
	c.calls++
	return c.Table.Get(ctx, id)
}

func (c *counter) Swap(ctx context.Context, old lease.Stored, next lease.Item) (lease.Stored, error) {
	c.calls++
	return c.Table.Swap(ctx, old, next)
}

func (c *counter) List(ctx context.Context, shard int) ([]lease.Stored, error) {
	c.calls++
	return c.Table.List(ctx, shard)
}
