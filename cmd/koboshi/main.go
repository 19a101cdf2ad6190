//go:build !man

// Command koboshi brings an EC2 instance to the release that its channel names,
// proven by signature and hash, and tells the Auto Scaling group when it serves.
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
