package awstest

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"time"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/cloudformation"
	"koboshi/agent/awstest/codedeploy"
	"koboshi/agent/awstest/control"
	"koboshi/agent/awstest/dynamodb"
	"koboshi/agent/awstest/ec2"
	"koboshi/agent/awstest/elb"
	"koboshi/agent/awstest/faults"
	"koboshi/agent/awstest/kms"
	"koboshi/agent/awstest/loopback"
	"koboshi/agent/awstest/query"
	"koboshi/agent/awstest/s3"
	"koboshi/agent/awstest/secretsmanager"
	"koboshi/agent/awstest/ssm"
	"koboshi/agent/awstest/sts"
)

// Server is a loopback AWS: S3, DynamoDB, Auto Scaling, CloudFormation, CodeDeploy, ELB,
// STS, Parameter Store, Secrets Manager and KMS at one URL, each instance's IMDS at its
// own, and the control endpoint under /_mock/.
type Server struct {
	*ec2.Fleet
	s3      *s3.Store
	elb     *elb.Balancer
	stacks  *cloudformation.Stacks
	deploys *codedeploy.Store
	ssm     *ssm.Store
	secrets *secretsmanager.Store
	tables  *dynamodb.Store
	keys    *kms.Store
	calls   faults.Calls
	faults  *faults.Script

	plain  *loopback.Listener
	secure *loopback.Listener // nil without WithTLS
}

type options struct {
	now            func() time.Time
	addr, imdsAddr string
	tls            *tls.Config
}

// Option changes a Server before it starts.
type Option func(*options)

// WithClock gives the server another clock. Waits are still as long as the
// time package makes them: shift the clock, do not freeze it.
func WithClock(now func() time.Time) Option { return func(o *options) { o.now = now } }

// WithAddr makes it listen elsewhere than on a free port of 127.0.0.1.
// Use an IP address: SDKs put the bucket's name before a host name.
func WithAddr(addr string) Option { return func(o *options) { o.addr = addr } }

// WithIMDSAddr makes each instance's metadata service listen elsewhere than on
// a free port of 127.0.0.1, such as at the real 169.254.169.254:80 in a
// network namespace that has it. Only one instance at a time can.
func WithIMDSAddr(addr string) Option { return func(o *options) { o.imdsAddr = addr } }

// WithTLS makes it listen for HTTPS as well, on a free port of 127.0.0.1, with a
// certificate for that address. See [Server.TLSURL].
func WithTLS(certificate tls.Certificate) Option {
	return func(o *options) {
		o.tls = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	}
}

// Start returns a running Server, which the caller must Close.
func Start(set ...Option) (*Server, error) {
	o := options{now: time.Now, addr: "127.0.0.1:0", imdsAddr: "127.0.0.1:0"}
	for _, change := range set {
		change(&o)
	}
	s := &Server{s3: s3.New(o.now), elb: elb.New(o.now), stacks: cloudformation.New(o.now), deploys: codedeploy.New(), ssm: ssm.New(o.now), secrets: secretsmanager.New(o.now), tables: dynamodb.New(o.now), keys: kms.New(o.now)}
	s.faults = faults.New(o.now, &s.calls)
	var err error
	if s.plain, err = loopback.Bind(o.addr, nil); err != nil {
		return nil, fmt.Errorf("starting the mock: %w", err)
	}
	s.Fleet = ec2.New(ec2.Options{Now: o.now, Endpoint: s.URL(), IMDSAddr: o.imdsAddr, Faults: s.faults, Balancer: s.elb})
	handler := dated(o.now, s.handler())
	s.plain.Serve(handler)
	if o.tls == nil {
		return s, nil
	}
	if s.secure, err = loopback.Bind("127.0.0.1:0", o.tls); err != nil {
		s.Close()
		return nil, fmt.Errorf("starting the mock: %w", err)
	}
	s.secure.Serve(handler)
	return s, nil
}

// TB is what New needs of a testing.TB.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// New is Start for tests: it fails the test on an error and closes the server at its end.
func New(t TB, options ...Option) *Server {
	t.Helper()
	s, err := Start(options...)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(s.Close)
	return s
}

// URL is where the APIs are, without a slash at the end.
func (s *Server) URL() string { return s.plain.URL }

// TLSURL is where the same APIs are by HTTPS, "" without [WithTLS].
func (s *Server) TLSURL() string {
	if s.secure == nil {
		return ""
	}
	return s.secure.URL
}

// S3 is the object store.
func (s *Server) S3() *s3.Store { return s.s3 }

// Balancer has the target groups of load balancers.
func (s *Server) Balancer() *elb.Balancer { return s.elb }

// SSM is Parameter Store.
func (s *Server) SSM() *ssm.Store { return s.ssm }

// SecretsManager is Secrets Manager.
func (s *Server) SecretsManager() *secretsmanager.Store { return s.secrets }

// KMS has the keys that sign.
func (s *Server) KMS() *kms.Store { return s.keys }

// DynamoDB has the tables.
func (s *Server) DynamoDB() *dynamodb.Store { return s.tables }

// Stacks are those of CloudFormation.
func (s *Server) Stacks() *cloudformation.Stacks { return s.stacks }

// Deployments are those of CodeDeploy.
func (s *Server) Deployments() *codedeploy.Store { return s.deploys }

// Faults is the script of what goes wrong, for every service.
func (s *Server) Faults() *faults.Script { return s.faults }

// Calls is the log of all requests but those to the control endpoint.
func (s *Server) Calls() *faults.Calls { return &s.calls }

// Close stops everything. Running requests are cut off.
func (s *Server) Close() {
	s.faults.Clear() // a request that is delayed before its body was read would not notice the rest
	s.plain.Close()
	if s.secure != nil {
		s.secure.Close()
	}
	s.Fleet.Close()
}

// handler sends each request to its service: the control endpoint by its path,
// the JSON APIs by a header, the query APIs by their form, and all else to S3.
func (s *Server) handler() http.Handler {
	scaling, identity, balancer := autoscaling.NewAPI(s.Model()), sts.New(), elb.NewAPI(s.elb)
	toScaling := s.faults.Wrap("autoscaling", scaling.Describe, scaling.Fail, scaling)
	toIdentity := s.faults.Wrap("sts", identity.Describe, identity.Fail, identity)
	toBalancer := s.faults.Wrap("elb", balancer.Describe, balancer.Fail, balancer)
	formation := cloudformation.NewAPI(s.stacks)
	toFormation := s.faults.Wrap("cloudformation", formation.Describe, formation.Fail, formation)
	toS3 := s.faults.Wrap("s3", s3.Describe, s3.WriteError, s.s3)
	parameters, secrets, tables := s.ssm.API(), s.secrets.API(), s.tables.API()
	toParameters := s.faults.Wrap("ssm", parameters.Describe, parameters.Fail, parameters)
	toSecrets := s.faults.Wrap("secretsmanager", secrets.Describe, secrets.Fail, secrets)
	toTables := s.faults.Wrap("dynamodb", tables.Describe, tables.Fail, tables)
	keys := s.keys.API()
	toKeys := s.faults.Wrap("kms", keys.Describe, keys.Fail, keys)
	deploys := s.deploys.API()
	toDeploys := s.faults.Wrap("codedeploy", deploys.Describe, deploys.Fail, deploys)
	toControl := control.New(s.Fleet, control.Services{Balancer: s.elb, Objects: s.s3, Tables: s.tables, Deployments: s.deploys}, s.faults, &s.calls)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case control.Is(r):
			toControl.ServeHTTP(w, r)
		case parameters.Has(r):
			toParameters.ServeHTTP(w, r)
		case secrets.Has(r):
			toSecrets.ServeHTTP(w, r)
		case tables.Has(r):
			toTables.ServeHTTP(w, r)
		case keys.Has(r):
			toKeys.ServeHTTP(w, r)
		case deploys.Has(r):
			toDeploys.ServeHTTP(w, r)
		case !query.Is(r):
			toS3.ServeHTTP(w, r)
		case query.ParseForm(w, r) != nil:
			scaling.Fail(w, r, http.StatusBadRequest, "MalformedQueryString", "the body is not a form")
		case identity.Has(r):
			toIdentity.ServeHTTP(w, r)
		case formation.Has(r):
			toFormation.ServeHTTP(w, r)
		case balancer.Has(r):
			toBalancer.ServeHTTP(w, r)
		default:
			toScaling.ServeHTTP(w, r)
		}
	})
}

// dated gives every answer the time of the server's clock.
func dated(now func() time.Time, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", now().UTC().Format(http.TimeFormat))
		next.ServeHTTP(w, r)
	})
}
