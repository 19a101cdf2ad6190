package main

import (
	"strings"
	"testing"

	"koboshi/agent/service"
)

// The fields of the log are a contract.
func TestHookLineAsJSON(t *testing.T) {
	var out strings.Builder
	u := newUI(&out, &out)
	if err := u.setLogFormat("json"); err != nil {
		t.Fatal(err)
	}
	u.hookLine(service.Hook{Name: "pre_start", Version: "2.0.0"}, "done")
	if !strings.HasSuffix(out.String(), `"msg":"hook output","hook":"pre_start","version":"2.0.0","line":"done"}`+"\n") {
		t.Errorf("printed %s", out.String())
	}
}
