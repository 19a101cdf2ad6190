package awsapi

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// ErrNoRegion is a configuration without a region.
var ErrNoRegion = errors.New("no AWS region is set")

// endpoint is where the service is: as the environment or the profile says, for this
// service or for all, or in the region.
//
// Source: https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
func (s Service) endpoint(ctx context.Context, cfg aws.Config) (*url.URL, error) {
	var own string
	var ignore bool
	var fips aws.FIPSEndpointState
	var dual aws.DualStackEndpointState
	for _, source := range cfg.ConfigSources {
		if from, ok := source.(interface {
			GetIgnoreConfiguredEndpoints(ctx context.Context) (bool, bool, error)
		}); ok && !ignore {
			ignore, _, _ = from.GetIgnoreConfiguredEndpoints(ctx)
		}
		if from, ok := source.(interface {
			GetServiceBaseEndpoint(ctx context.Context, sdkID string) (string, bool, error)
		}); ok && own == "" {
			own, _, _ = from.GetServiceBaseEndpoint(ctx, s.ID) // without one, the region's
		}
		if from, ok := source.(interface {
			GetUseFIPSEndpoint(ctx context.Context) (aws.FIPSEndpointState, bool, error)
		}); ok && fips == aws.FIPSEndpointStateUnset {
			fips, _, _ = from.GetUseFIPSEndpoint(ctx)
		}
		if from, ok := source.(interface {
			GetUseDualStackEndpoint(ctx context.Context) (aws.DualStackEndpointState, bool, error)
		}); ok && dual == aws.DualStackEndpointStateUnset {
			dual, _, _ = from.GetUseDualStackEndpoint(ctx)
		}
	}
	if ignore {
		own = ""
	}
	if own = cmp.Or(own, aws.ToString(cfg.BaseEndpoint)); own != "" {
		return url.Parse(strings.TrimSuffix(own, "/") + "/")
	}
	if cfg.Region == "" {
		return nil, ErrNoRegion
	}
	host := s.host(cfg.Region, fips == aws.FIPSEndpointStateEnabled, dual == aws.DualStackEndpointStateEnabled)
	return &url.URL{Scheme: "https", Host: host, Path: "/"}, nil
}

// partitions are the parts of AWS by how the names of their regions begin; the last is
// the usual one.
//
// Source: https://docs.aws.amazon.com/sdkref/latest/guide/feature-endpoints.html
var partitions = []struct{ regions, domain, dual string }{
	{"cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn"},
	{"eusc-", "amazonaws.eu", "api.amazonwebservices.eu"},
	{"us-iso-", "c2s.ic.gov", "api.aws.ic.gov"},
	{"us-isob-", "sc2s.sgov.gov", "api.aws.scloud"},
	{"us-isof-", "csp.hci.ic.gov", "api.aws.hci.ic.gov"},
	{"eu-isoe-", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"},
	{"", "amazonaws.com", "api.aws"},
}

// host is the service's in a region.
func (s Service) host(region string, fips, dual bool) string {
	name := s.Name
	if usual := s.PlainInGov && !dual && strings.HasPrefix(region, "us-gov-"); fips && !usual {
		name += "-fips"
	}
	for _, p := range partitions {
		if !strings.HasPrefix(region, p.regions) {
			continue
		}
		if dual {
			return name + "." + region + "." + p.dual
		}
		return name + "." + region + "." + p.domain
	}
	panic("unreachable: every region begins with nothing")
}
