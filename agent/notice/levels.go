package notice

import (
	"cmp"
	"context"
	"time"

	"koboshi/agent/instance"
)

// Source is where the levels are read: instance.Metadata.
type Source interface {
	TargetState(ctx context.Context) (string, error) // "" = in no group
	SpotAction(ctx context.Context) (instance.SpotAction, error)
	Rebalance(ctx context.Context) (time.Time, error)
}

// Levels is what the metadata last said.
type Levels struct {
	Target    string              // target lifecycle state; "" = in no group, or not known yet
	Spot      instance.SpotAction // zero = no interruption
	Rebalance time.Time           // zero = no recommendation
}

// Look asks for all three levels: three requests. A level that cannot be read stays
// as it was; the error says why, of the first of them: what answers is the same.
func (l *Levels) Look(ctx context.Context, from Source) error {
	return cmp.Or(
		read(ctx, &l.Target, from.TargetState),
		read(ctx, &l.Spot, from.SpotAction),
		read(ctx, &l.Rebalance, from.Rebalance),
	)
}

func read[T any](ctx context.Context, level *T, ask func(context.Context) (T, error)) error {
	now, err := ask(ctx)
	if err == nil {
		*level = now
	}
	return err
}
