package agent

// held tells why this machine keeps its release, if it does.
func (r *run) held() (reason string, held bool) {
	if r.state.Hold.Active(r.Now()) {
		return r.state.Hold.Reason, true
	}
	return r.config.HoldTag, r.config.HoldTag != ""
}
