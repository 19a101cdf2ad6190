//go:build !man

// Command koboshi brings an EC2 instance to the release that its channel points to,
// verified by signature and hash, and completes the lifecycle action of its Auto
// Scaling group once the app is healthy.
package main

import (
	"context"
	"os"
)

func main() {
	ctx, stop := untilSignal(context.Background())
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
