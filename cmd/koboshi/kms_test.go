package main

import (
	"github.com/rogpeppe/go-internal/testscript"
)

// kmskey SPEC NAME makes a key in KMS, with the alias of this name, and sets the
// variable NAME to its ARN; kmskey short has KMS return 63 bytes, kmskey whole no longer.
func kmskey(ts *testscript.TestScript, _ bool, args []string) {
	store := of(ts).aws.KMS()
	switch {
	case len(args) == 1 && args[0] == "short":
		store.Spoil(func(signature []byte) []byte { return signature[:63] })
	case len(args) == 1 && args[0] == "whole":
		store.Spoil(nil)
	case len(args) == 2:
		arn, err := store.Make(ts.Getenv("AWS_REGION"), args[0], "alias/"+args[1])
		ts.Check(err)
		ts.Setenv(args[1], arn)
	default:
		ts.Fatalf("usage: kmskey SPEC NAME")
	}
}
