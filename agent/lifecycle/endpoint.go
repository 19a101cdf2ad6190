package lifecycle

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// errNoRegion is a configuration without a region.
var errNoRegion = errors.New("no AWS region is set")

// stackEndpoint is where CloudFormation is: as the environment or the profile says,
// for this service or for all, or in the region.
//
// Sources: https://docs.aws.amazon.com/general/latest/gr/cfn.html
// and https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
func stackEndpoint(ctx context.Context, cfg aws.Config) (string, error) {
	var own string
	var fips aws.FIPSEndpointState
	var dual aws.DualStackEndpointState
	for _, source := range cfg.ConfigSources {
		if s, ok := source.(interface {
			GetServiceBaseEndpoint(ctx context.Context, sdkID string) (string, bool, error)
		}); ok && own == "" {
			own, _, _ = s.GetServiceBaseEndpoint(ctx, "CloudFormation") // without one, the region's
		}
		if s, ok := source.(interface {
			GetUseFIPSEndpoint(ctx context.Context) (aws.FIPSEndpointState, bool, error)
		}); ok && fips == aws.FIPSEndpointStateUnset {
			fips, _, _ = s.GetUseFIPSEndpoint(ctx)
		}
		if s, ok := source.(interface {
			GetUseDualStackEndpoint(ctx context.Context) (aws.DualStackEndpointState, bool, error)
		}); ok && dual == aws.DualStackEndpointStateUnset {
			dual, _, _ = s.GetUseDualStackEndpoint(ctx)
		}
	}
	if own = cmp.Or(own, aws.ToString(cfg.BaseEndpoint)); own != "" {
		return strings.TrimSuffix(own, "/") + "/", nil
	}
	if cfg.Region == "" {
		return "", errNoRegion
	}
	return "https://" + stackHost(cfg.Region, fips == aws.FIPSEndpointStateEnabled, dual == aws.DualStackEndpointStateEnabled) + "/", nil
}

func stackHost(region string, fips, dual bool) string {
	name := "cloudformation"
	if fips && !strings.HasPrefix(region, "us-gov-") { // there the usual one is
		name += "-fips"
	}
	domain := "amazonaws.com"
	switch china := strings.HasPrefix(region, "cn-"); {
	case china && dual:
		domain = "api.amazonwebservices.com.cn"
	case china:
		domain += ".cn"
	case dual:
		domain = "api.aws"
	}
	return name + "." + region + "." + domain
}
