package pace

import (
	"context"
	"time"
)

// Outlive returns a context that ends some time after ctx does, with that cause:
// for the last call of a sequence, which has to be made however that ended.
func Outlive(ctx context.Context, by time.Duration, cause error) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		_ = Sleep(longer, by)
		cancel(cause)
	})
	return longer, func() { stop(); cancel(nil) }
}
