package awsapi

import (
	"context"
	"net/url"
	"testing"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
)

// The hosts are those of the SDK's own clients.
func TestHosts(t *testing.T) {
	resolve := map[Service]func(context.Context, *string, bool, bool) (url.URL, error){
		{Name: "codedeploy"}: func(ctx context.Context, region *string, fips, dual bool) (url.URL, error) {
			e, err := codedeploy.NewDefaultEndpointResolverV2().ResolveEndpoint(ctx, codedeploy.EndpointParameters{Region: region, UseFIPS: &fips, UseDualStack: &dual})
			return e.URI, err
		},
		{Name: "dynamodb", PlainInGov: true}: func(ctx context.Context, region *string, fips, dual bool) (url.URL, error) {
			e, err := dynamodb.NewDefaultEndpointResolverV2().ResolveEndpoint(ctx, dynamodb.EndpointParameters{Region: region, UseFIPS: &fips, UseDualStack: &dual})
			return e.URI, err
		},
		{Name: "elasticloadbalancing", PlainInGov: true}: func(ctx context.Context, region *string, fips, dual bool) (url.URL, error) {
			e, err := elb.NewDefaultEndpointResolverV2().ResolveEndpoint(ctx, elb.EndpointParameters{Region: region, UseFIPS: &fips, UseDualStack: &dual})
			return e.URI, err
		},
	}
	compared := 0
	for service, sdk := range resolve {
		for _, region := range []string{"us-east-1", "eu-west-1", "ap-southeast-7", "cn-north-1", "us-gov-west-1", "us-gov-east-1", "us-iso-east-1", "us-isob-east-1", "us-isof-south-1", "eu-isoe-west-1", "eusc-de-east-1"} {
			for _, fips := range []bool{false, true} {
				for _, dual := range []bool{false, true} {
					want, err := sdk(t.Context(), &region, fips, dual)
					if err != nil {
						continue // not offered there: the name that is asked for is not found
					}
					compared++
					if got := service.host(region, fips, dual); got != want.Host {
						t.Errorf("%s in %s, FIPS %v, dual stack %v: %s, the SDK's client goes to %s", service.Name, region, fips, dual, got, want.Host)
					}
				}
			}
		}
	}
	if compared < 100 {
		t.Errorf("%d compared", compared)
	}
}

func TestEndpoint(t *testing.T) {
	for _, tt := range []struct {
		name, region string
		env          map[string]string
		want         string // "" = an error
	}{
		{"the region's", "eu-west-1", nil, "https://codedeploy.eu-west-1.amazonaws.com/"},
		{"FIPS", "us-east-2", map[string]string{"AWS_USE_FIPS_ENDPOINT": "true"}, "https://codedeploy-fips.us-east-2.amazonaws.com/"},
		{"IPv6", "eu-west-1", map[string]string{"AWS_USE_DUALSTACK_ENDPOINT": "true"}, "https://codedeploy.eu-west-1.api.aws/"},
		{"of its own", "eu-west-1", map[string]string{"AWS_ENDPOINT_URL_CODEDEPLOY": "https://vpce-1.codedeploy.eu-west-1.vpce.amazonaws.com", "AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}, "https://vpce-1.codedeploy.eu-west-1.vpce.amazonaws.com/"},
		{"of all services", "eu-west-1", map[string]string{"AWS_ENDPOINT_URL": "http://127.0.0.1:4566/"}, "http://127.0.0.1:4566/"},
		{"ignored", "eu-west-1", map[string]string{"AWS_ENDPOINT_URL_CODEDEPLOY": "http://127.0.0.1:1", "AWS_ENDPOINT_URL": "http://127.0.0.1:2", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, "https://codedeploy.eu-west-1.amazonaws.com/"},
		{"none", "", nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("AWS_CONFIG_FILE", "/nowhere")
			t.Setenv("AWS_REGION", tt.region)
			for name, value := range tt.env {
				t.Setenv(name, value)
			}
			cfg, err := config.LoadDefaultConfig(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got, err := Service{ID: "CodeDeploy", Name: "codedeploy"}.endpoint(t.Context(), cfg)
			if tt.want == "" {
				if err == nil {
					t.Errorf("%s, want an error", got)
				}
				return
			}
			if err != nil || got.String() != tt.want {
				t.Errorf("%v (%v), want %s", got, err, tt.want)
			}
		})
	}
}
