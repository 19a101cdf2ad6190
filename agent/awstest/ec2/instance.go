package ec2

import (
	"net/http"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/imds"
	"koboshi/agent/awstest/loopback"
)

// Instance is one EC2 instance. Its methods may be called at any time.
type Instance struct {
	*autoscaling.Instance
	endpoint string
	metadata *imds.Service
	listener *loopback.Listener
}

// IMDSURL is the root of its metadata service, without a slash at the end.
func (i *Instance) IMDSURL() string { return i.listener.URL }

// Env is what an AWS SDK on the instance needs to find the mock, as KEY=value.
// There are no keys in it: credentials and region come from IMDS, as on EC2.
func (i *Instance) Env() []string {
	return []string{
		"AWS_ENDPOINT_URL=" + i.endpoint,
		"AWS_EC2_METADATA_SERVICE_ENDPOINT=" + i.IMDSURL() + "/", // older botocore joins without a slash
		"AWS_EC2_METADATA_DISABLED=false",
	}
}

// SetIMDS changes how its metadata service behaves, from the next request on.
func (i *Instance) SetIMDS(change func(*imds.Switches)) { i.metadata.Set(change) }

// ExpireTokens makes IMDS forget every token it gave out: 401 to all of them.
func (i *Instance) ExpireTokens() { i.metadata.ExpireTokens() }

// whileOn cuts connections off for as long as the machine is switched off: no
// program runs on it that could ask.
func whileOn(i *autoscaling.Instance, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if i.Off() {
			panic(http.ErrAbortHandler)
		}
		next.ServeHTTP(w, r)
	})
}

func (i *Instance) isTerminated() bool {
	select {
	case <-i.Done():
		return true
	default:
		return false
	}
}
