package imds

import "time"

// Switches change how one instance's metadata service behaves; for all other
// faults there is a Fault with Service "imds". The zero value is a working
// service that requires IMDSv2 tokens.
type Switches struct {
	Disabled bool `json:"disabled,omitempty"`  // everything answers 403
	HopLimit bool `json:"hop_limit,omitempty"` // token requests hang until the client gives up: the answer exceeds the hop limit

	NoRole           bool          `json:"no_role,omitempty"`           // no instance profile: iam/ is 404
	CredentialsAfter time.Duration `json:"credentials_after,omitempty"` // role credentials are 404 this long after launch
	CredentialsCode  string        `json:"credentials_code,omitempty"`  // "" = Success; anything else comes without keys
	CredentialsFor   time.Duration `json:"credentials_for,omitempty"`   // how long they are valid from when they are requested; 0 = 6 h

	TargetState string    `json:"target_state,omitempty"` // shown at autoscaling/target-lifecycle-state instead of the true one
	SpotAction  string    `json:"spot_action,omitempty"`  // terminate, stop or hibernate: shown at spot/instance-action
	SpotTime    time.Time `json:"spot_time,omitzero"`     // when
	SpotFrom    time.Time `json:"spot_from,omitzero"`     // from when on it is shown; zero = at once
	Rebalance   time.Time `json:"rebalance,omitzero"`     // shown at events/recommendations/rebalance unless zero
}
