package awstest

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	metadata "github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	asg "github.com/aws/aws-sdk-go-v2/service/autoscaling"
	objects "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"koboshi/agent/awstest/account"
	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/ec2"
	"koboshi/agent/awstest/faults"
	"koboshi/agent/awstest/imds"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T any](t *testing.T, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// code is the AWS error code of an error, "" if there is none.
func code(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	return ""
}

// on sets the environment of an instance, and nothing else of AWS, and loads
// the SDK's configuration from it.
func on(t *testing.T, i *ec2.Instance) aws.Config {
	t.Helper()
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", "/nonexistent")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
	for _, entry := range i.Env() {
		name, value, _ := strings.Cut(entry, "=")
		t.Setenv(name, value)
	}
	cfg, err := config.LoadDefaultConfig(t.Context(), config.WithEC2IMDSRegion())
	check(t, err)
	cfg.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
	return cfg
}

// web is a server with a group "web" with both hooks, and one instance.
func web(t *testing.T, o autoscaling.LaunchOptions) (*Server, *ec2.Instance) {
	t.Helper()
	s := New(t)
	check(t, s.CreateGroup(autoscaling.Group{Name: "web", Hooks: []autoscaling.Hook{
		{Name: "up", Transition: autoscaling.OnLaunch}, {Name: "down", Transition: autoscaling.OnTerminate},
	}}))
	o.Group = "web"
	i, err := s.Launch(o)
	check(t, err)
	return s, i
}

// TestInstanceNeedsNoOtherEnvironment is what an agent does at boot, by the real SDK.
func TestInstanceNeedsNoOtherEnvironment(t *testing.T) {
	s, i := web(t, autoscaling.LaunchOptions{AZ: "eu-central-1b"})
	cfg := on(t, i)
	equal(t, cfg.Region, "eu-central-1")

	who, err := sts.NewFromConfig(cfg).GetCallerIdentity(t.Context(), nil)
	check(t, err)
	equal(t, *who.Arn, "arn:aws:sts::123456789012:assumed-role/koboshi-instance/"+i.ID())

	s.S3().CreateBucket("releases")
	s.S3().Put("releases", "a/b", []byte("hello"))
	object, err := objects.NewFromConfig(cfg).GetObject(t.Context(), &objects.GetObjectInput{Bucket: aws.String("releases"), Key: aws.String("a/b")})
	check(t, err)
	check(t, object.Body.Close())
	equal(t, object.ContentLength, aws.Int64(5))

	_, err = asg.NewFromConfig(cfg).CompleteLifecycleAction(t.Context(), &asg.CompleteLifecycleActionInput{
		AutoScalingGroupName: aws.String("web"), LifecycleHookName: aws.String("up"),
		InstanceId: aws.String(i.ID()), LifecycleActionResult: aws.String("CONTINUE"),
	})
	check(t, err)
	check(t, i.Await(t.Context(), autoscaling.InService))

	for _, service := range []string{"s3", "autoscaling", "sts", "imds"} {
		calls := s.Calls().Filter(func(c faults.Call) bool { return c.Service == service && c.Instance == i.ID() })
		if len(calls) == 0 {
			t.Errorf("no call of %s by %s in the log", service, i.ID())
		}
	}
}

func TestFaultsReachEveryService(t *testing.T) {
	s, i := web(t, autoscaling.LaunchOptions{})
	cfg := on(t, i)
	_, err := cfg.Credentials.Retrieve(t.Context())
	check(t, err)
	s.S3().CreateBucket("releases")
	calls := map[string]func(context.Context) error{
		"autoscaling": func(ctx context.Context) error {
			_, err := asg.NewFromConfig(cfg).DescribeAutoScalingGroups(ctx, nil)
			return err
		},
		"sts": func(ctx context.Context) error {
			_, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, nil)
			return err
		},
		"s3": func(ctx context.Context) error {
			_, err := objects.NewFromConfig(cfg).ListObjectsV2(ctx, &objects.ListObjectsV2Input{Bucket: aws.String("releases")})
			return err
		},
	}
	for service, call := range calls {
		t.Run(service, func(t *testing.T) {
			s.Faults().Add(faults.Fault{Service: service, Times: 1, Status: 400, Code: "Throttling", Message: "Rate exceeded"})
			err := call(t.Context())
			equal(t, code(err), "Throttling")
			if err == nil || !strings.Contains(err.Error(), "Rate exceeded") {
				t.Errorf("%v does not tell the message", err)
			}
			check(t, call(t.Context()))
		})
	}
}

// TestTLS takes the certificate for 127.0.0.1 that net/http/httptest has.
func TestTLS(t *testing.T) {
	certified := httptest.NewTLSServer(nil)
	defer certified.Close()
	s := New(t, WithTLS(certified.TLS.Certificates[0]))
	i, err := s.Launch(autoscaling.LaunchOptions{})
	check(t, err)
	cfg := on(t, i)
	cfg.HTTPClient = certified.Client()
	client := objects.NewFromConfig(cfg, func(o *objects.Options) { o.BaseEndpoint = aws.String(s.TLSURL()) })
	s.S3().CreateBucket("releases")
	releases := &objects.ListObjectsV2Input{Bucket: aws.String("releases")}
	_, err = client.ListObjectsV2(t.Context(), releases)
	check(t, err)
	s.Faults().Add(faults.Fault{Service: "s3", Reset: true})
	_, err = client.ListObjectsV2(t.Context(), releases, func(o *objects.Options) { o.RetryMaxAttempts = 1 })
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%v, want a connection that is reset", err)
	}
	s.Faults().Clear()
	cfg.HTTPClient = nil
	client = objects.NewFromConfig(cfg, func(o *objects.Options) { o.BaseEndpoint = aws.String(s.TLSURL()); o.RetryMaxAttempts = 1 })
	if _, err = client.ListObjectsV2(t.Context(), releases); !errors.As(err, new(*tls.CertificateVerificationError)) {
		t.Errorf("%v, want a certificate that is not trusted", err)
	}
}

func TestCredentialsAreRequired(t *testing.T) {
	_, i := web(t, autoscaling.LaunchOptions{})
	cfg := on(t, i)
	cfg.Credentials = aws.AnonymousCredentials{}
	_, err := asg.NewFromConfig(cfg).DescribeAutoScalingGroups(t.Context(), nil)
	equal(t, code(err), "MissingAuthenticationToken")
	_, err = sts.NewFromConfig(cfg).GetCallerIdentity(t.Context(), nil)
	equal(t, code(err), "MissingAuthenticationToken")
}

func TestUnknownAction(t *testing.T) {
	_, i := web(t, autoscaling.LaunchOptions{})
	_, err := asg.NewFromConfig(on(t, i)).DescribeAccountLimits(t.Context(), nil)
	equal(t, code(err), "InvalidAction")
}

func TestAddressThatCannotBeBound(t *testing.T) {
	s := New(t)
	first, err := s.Launch(autoscaling.LaunchOptions{})
	check(t, err)
	addr := strings.TrimPrefix(first.IMDSURL(), "http://")
	if _, err := s.Launch(autoscaling.LaunchOptions{IMDSAddr: addr}); err == nil {
		t.Fatal("two instances share an IMDS address")
	}
	check(t, s.Terminate(first.ID()))
	second, err := s.Launch(autoscaling.LaunchOptions{IMDSAddr: addr})
	check(t, err)
	equal(t, second.IMDSURL(), first.IMDSURL())
	if _, err := Start(WithAddr(strings.TrimPrefix(s.URL(), "http://"))); err == nil {
		t.Error("two servers share an address")
	}
}

// TestCloseCutsOff would hang if a request that a fault or a switch delays outlived Close.
func TestCloseCutsOff(t *testing.T) {
	s, i := web(t, autoscaling.LaunchOptions{IMDS: imds.Switches{HopLimit: true}})
	failed := make(chan error, 1)
	go func() {
		r, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodPut, i.IMDSURL()+"/latest/api/token", nil)
		if err == nil {
			r.Header.Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "21600")
			_, err = http.DefaultClient.Do(r)
		}
		failed <- err
	}()
	check(t, s.Calls().Await(t.Context(), "imds", "PUT /latest/api/token", 1))
	s.Close()
	if err := <-failed; err == nil {
		t.Error("a token in spite of the hop limit")
	}
}

// TestSDK reads by the SDK's own client, which must not fall back to v1 here.
func TestSDK(t *testing.T) {
	s, i := web(t, autoscaling.LaunchOptions{AZ: "eu-west-1a"})
	cfg := on(t, i)
	cfg.Retryer = func() aws.Retryer { // it takes one retry to get a new token
		return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = time.Millisecond })
	}
	client := metadata.NewFromConfig(cfg, func(o *metadata.Options) { o.EnableFallback = aws.FalseTernary })
	doc, err := client.GetInstanceIdentityDocument(t.Context(), nil)
	check(t, err)
	equal(t, doc.InstanceID, i.ID())
	equal(t, doc.Region, "eu-west-1")
	equal(t, doc.AccountID, "123456789012")
	role, err := client.GetIAMInfo(t.Context(), nil)
	check(t, err)
	equal(t, role.InstanceProfileArn, "arn:aws:iam::123456789012:instance-profile/koboshi-instance")
	_, err = client.GetMetadata(t.Context(), &metadata.GetMetadataInput{Path: "spot/instance-action"})
	if err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("got %v, want a 404", err)
	}
	i.ExpireTokens()
	_, err = client.GetRegion(t.Context(), nil)
	check(t, err)
	equal(t, s.Calls().Count("imds", "PUT /latest/api/token") >= 2, true)

	loaded, err := config.LoadDefaultConfig(t.Context())
	check(t, err)
	keys, err := loaded.Credentials.Retrieve(t.Context())
	check(t, err)
	equal(t, keys.AccessKeyID, account.AccessKey(i.ID()))
	equal(t, keys.Source, "EC2RoleProvider")
}
