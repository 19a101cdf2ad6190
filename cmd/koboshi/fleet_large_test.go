//go:build fleet

package main

import (
	"runtime/debug"
	"testing"
)

// TestFleetsLeave is the scale-in of make fleet.
func TestFleetsLeave(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(300))
	leave{instances: 1000}.run(t).whole(t)
}

// TestFleets is what make fleet prints.
func TestFleets(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(300))
	const spread = "[lifecycle]\nheartbeat_after = \"2m\"\ncontinue_jitter = \"10m\"\n"
	for _, tt := range []struct {
		fleet
		holds func(*outcomes, *testing.T)
	}{
		{fleet{name: "1,000 launches", launches: 1000}, (*outcomes).whole},
		{fleet{name: "1,000 launches, heartbeat_after 2m", launches: 1000, settings: patient}, (*outcomes).modest},
		{fleet{name: "1,000 launches, S3 fails", launches: 1000, outage: "s3", settings: patient}, (*outcomes).served},
		{fleet{name: "1,000 launches of a baked image, S3 fails", launches: 1000, baked: true, outage: "s3", settings: patient}, (*outcomes).whole},
		{fleet{name: "1,000 launches, Auto Scaling fails", launches: 1000, outage: "autoscaling", settings: patient}, (*outcomes).whole},
		{fleet{name: "10,000 launches", launches: 10000}, (*outcomes).whole},
		{fleet{name: "10,000 launches, heartbeat_after 2m, spread 10m", launches: 10000, settings: spread}, (*outcomes).modest},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.holds(tt.run(t), t) })
	}
}
