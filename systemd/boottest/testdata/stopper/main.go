// Command stopper arms a stop of PID 1's, and is gone when that comes.
//
//	stopper arm NAME AT UNIT...    AT is in Unix seconds
//	stopper armed NAME             print for when, or "none"
//	stopper disarm NAME
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strconv"
	"time"

	"koboshi/systemd"
)

func main() {
	if err := run(context.Background(), os.Args[1], os.Args[2], os.Args[3:]...); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, verb, name string, args ...string) error {
	pid1, err := systemd.Connect(ctx)
	if err != nil {
		return err
	}
	defer pid1.Close()
	switch verb {
	case "arm":
		at, err := strconv.ParseInt(args[0], 10, 64)
		if err != nil {
			return err
		}
		return pid1.ArmStop(ctx, name, args[1:], time.Unix(at, 0))
	case "armed":
		at, armed, err := pid1.StopArmed(ctx, name)
		if !armed {
			fmt.Println("none")
			return err
		}
		fmt.Println(at.Unix())
		return err
	case "disarm":
		return pid1.DisarmStop(ctx, name)
	}
	return errors.New("arm, armed or disarm")
}
