package report

import "time"

// Node is the lease of the node id. ValidUntil is the last moment that the app may use it
// at, unless it is renewed; where Failed renewals in a row have failed, Failure says why
// the last one did. Table is where it is recorded who holds which id.
type Node struct {
	Scope        string    `json:"scope"`
	Gen          int64     `json:"gen"`
	DatacenterID int       `json:"datacenter_id"`
	ValidUntil   time.Time `json:"valid_until"`
	Table        string    `json:"table"`
	Failed       int       `json:"failed_renewals,omitzero"`
	Failure      string    `json:"failure,omitzero"`
}
