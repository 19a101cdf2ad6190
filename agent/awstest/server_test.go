package awstest

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http/httptest"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// elapse lets time pass in a synctest bubble.
func elapse(d time.Duration) { <-time.After(d) }

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
func on(t *testing.T, i *Instance) aws.Config {
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
func web(t *testing.T, o LaunchOptions) (*Server, *Instance) {
	t.Helper()
	s := New(t)
	check(t, s.CreateGroup(Group{Name: "web", Hooks: []Hook{
		launching("up", time.Hour, ""), terminating("down", time.Hour, ""),
	}}))
	o.Group = "web"
	i, err := s.Launch(o)
	check(t, err)
	return s, i
}

// TestInstanceNeedsNoOtherEnvironment is what an agent does at boot, by the real SDK.
func TestInstanceNeedsNoOtherEnvironment(t *testing.T) {
	s, i := web(t, LaunchOptions{AZ: "eu-central-1b"})
	cfg := on(t, i)
	equal(t, cfg.Region, "eu-central-1")

	who, err := sts.NewFromConfig(cfg).GetCallerIdentity(t.Context(), nil)
	check(t, err)
	equal(t, *who.Arn, "arn:aws:sts::123456789012:assumed-role/koboshi-instance/"+i.ID())

	s.S3().CreateBucket("releases")
	s.S3().Put("releases", "a/b", []byte("hello"))
	object, err := s3.NewFromConfig(cfg).GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("releases"), Key: aws.String("a/b")})
	check(t, err)
	check(t, object.Body.Close())
	equal(t, object.ContentLength, aws.Int64(5))

	_, err = autoscaling.NewFromConfig(cfg).CompleteLifecycleAction(t.Context(), &autoscaling.CompleteLifecycleActionInput{
		AutoScalingGroupName: aws.String("web"), LifecycleHookName: aws.String("up"),
		InstanceId: aws.String(i.ID()), LifecycleActionResult: aws.String("CONTINUE"),
	})
	check(t, err)
	check(t, i.Await(t.Context(), InService))

	for _, service := range []string{"s3", "autoscaling", "sts", "imds"} {
		calls := s.Calls().Filter(func(c Call) bool { return c.Service == service && c.Instance == i.ID() })
		if len(calls) == 0 {
			t.Errorf("no call of %s by %s in the log", service, i.ID())
		}
	}
}

func TestFaultsReachEveryService(t *testing.T) {
	s, i := web(t, LaunchOptions{})
	cfg := on(t, i)
	_, err := cfg.Credentials.Retrieve(t.Context())
	check(t, err)
	calls := map[string]func(context.Context) error{
		"autoscaling": func(ctx context.Context) error {
			_, err := autoscaling.NewFromConfig(cfg).DescribeAutoScalingGroups(ctx, nil)
			return err
		},
		"sts": func(ctx context.Context) error {
			_, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, nil)
			return err
		},
		"s3": func(ctx context.Context) error {
			_, err := s3.NewFromConfig(cfg).ListBuckets(ctx, nil)
			return err
		},
	}
	for service, call := range calls {
		t.Run(service, func(t *testing.T) {
			s.Faults().Add(Fault{Service: service, Times: 1, Status: 400, Code: "Throttling", Message: "Rate exceeded"})
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
	i, err := s.Launch(LaunchOptions{})
	check(t, err)
	cfg := on(t, i)
	cfg.HTTPClient = certified.Client()
	client := s3.NewFromConfig(cfg, func(o *s3.Options) { o.BaseEndpoint = aws.String(s.TLSURL()) })
	s.S3().CreateBucket("releases")
	_, err = client.HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: aws.String("releases")})
	check(t, err)
	s.Faults().Add(Fault{Service: "s3", Reset: true})
	_, err = client.ListBuckets(t.Context(), nil, func(o *s3.Options) { o.RetryMaxAttempts = 1 })
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%v, want a connection that is reset", err)
	}
	s.Faults().Clear()
	cfg.HTTPClient = nil
	client = s3.NewFromConfig(cfg, func(o *s3.Options) { o.BaseEndpoint = aws.String(s.TLSURL()); o.RetryMaxAttempts = 1 })
	if _, err = client.ListBuckets(t.Context(), nil); !errors.As(err, new(*tls.CertificateVerificationError)) {
		t.Errorf("%v, want a certificate that is not trusted", err)
	}
}

func TestCredentialsAreRequired(t *testing.T) {
	_, i := web(t, LaunchOptions{})
	cfg := on(t, i)
	cfg.Credentials = aws.AnonymousCredentials{}
	_, err := autoscaling.NewFromConfig(cfg).DescribeAutoScalingGroups(t.Context(), nil)
	equal(t, code(err), "MissingAuthenticationToken")
	_, err = sts.NewFromConfig(cfg).GetCallerIdentity(t.Context(), nil)
	equal(t, code(err), "MissingAuthenticationToken")
}

func TestUnknownAction(t *testing.T) {
	_, i := web(t, LaunchOptions{})
	_, err := autoscaling.NewFromConfig(on(t, i)).DescribeAccountLimits(t.Context(), nil)
	equal(t, code(err), "InvalidAction")
}

func TestAddressThatCannotBeBound(t *testing.T) {
	s := New(t)
	first, err := s.Launch(LaunchOptions{})
	check(t, err)
	addr := strings.TrimPrefix(first.IMDSURL(), "http://")
	if _, err := s.Launch(LaunchOptions{IMDSAddr: addr}); err == nil {
		t.Fatal("two instances share an IMDS address")
	}
	check(t, s.Terminate(first.ID()))
	second, err := s.Launch(LaunchOptions{IMDSAddr: addr})
	check(t, err)
	equal(t, second.IMDSURL(), first.IMDSURL())
	if _, err := Start(WithAddr(strings.TrimPrefix(s.URL(), "http://"))); err == nil {
		t.Error("two servers share an address")
	}
}

// TestCloseCutsOff would hang if a request held up by a fault or a switch outlived Close.
func TestCloseCutsOff(t *testing.T) {
	s, i := web(t, LaunchOptions{IMDS: Switches{HopLimit: true}})
	failed := make(chan error, 1)
	go func() {
		_, err := put(context.WithoutCancel(t.Context()), i, "21600")
		failed <- err
	}()
	check(t, s.Calls().Await(t.Context(), "imds", "PUT /latest/api/token", 1))
	s.Close()
	if err := <-failed; err == nil {
		t.Error("a token in spite of the hop limit")
	}
}
