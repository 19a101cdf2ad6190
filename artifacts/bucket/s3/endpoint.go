package s3

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Endpoint is the URL at which the bucket is asked, and whether that is the one
// that AWS has for it: no endpoint of its own, no FIPS, no dual stack.
func (b *Bucket) Endpoint(ctx context.Context) (uri string, usual bool, err error) {
	o := b.client.Options()
	uri, err = b.resolve(ctx, s3.EndpointParameters{
		Region: &o.Region, Endpoint: o.BaseEndpoint, ForcePathStyle: &o.UsePathStyle,
		UseFIPS:      aws.Bool(o.EndpointOptions.UseFIPSEndpoint == aws.FIPSEndpointStateEnabled),
		UseDualStack: aws.Bool(o.EndpointOptions.UseDualStackEndpoint == aws.DualStackEndpointStateEnabled),
	})
	if err != nil {
		return "", false, fmt.Errorf("endpoint of s3://%s: %w", b.name, err)
	}
	plain, err := b.resolve(ctx, s3.EndpointParameters{Region: &o.Region})
	return uri, err == nil && uri == plain, nil
}

func (b *Bucket) resolve(ctx context.Context, p s3.EndpointParameters) (string, error) {
	p.Bucket = &b.name
	endpoint, err := s3.NewDefaultEndpointResolverV2().ResolveEndpoint(ctx, p)
	if err != nil {
		return "", err
	}
	return endpoint.URI.String(), nil
}
