package failure

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"koboshi/agent/health"
	"koboshi/agent/lease"
	"koboshi/agent/lifecycle"
	"koboshi/agent/nodeid"
	"koboshi/agent/service"
	"koboshi/agent/state"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/s3"
	"koboshi/artifacts/fetch"
	"koboshi/artifacts/store"
	"koboshi/systemd"
)

// TestHintFitsTheCause pairs what stands behind a failure with a word that only
// the right remedy has.
func TestHintFitsTheCause(t *testing.T) {
	denied := func(code, message string) error {
		return errors.Join(bucket.ErrDenied, &s3.Error{Op: "get", Status: 403, Code: code, Message: message})
	}
	writing := func(message string) error {
		return errors.Join(bucket.ErrDenied, &s3.Error{Op: "put", Status: 403, Code: "AccessDenied", Message: message})
	}
	ill := func(err error) error { return fmt.Errorf("gate: %w", &health.UnhealthyError{Last: err}) }
	disk := func(err error) error {
		return &store.DiskError{Op: "unpack", Err: &fs.PathError{Op: "write", Err: err}}
	}
	started := func(err error) error { return fmt.Errorf("%w: %w", service.ErrActivate, err) }
	exit := func(status int32) error {
		return started(&systemd.JobError{Unit: "web.service", Result: "failed", Cause: "exit-code", Status: status})
	}
	numbered := func(err error) error { return fmt.Errorf("%w: %w", nodeid.ErrNodeID, err) }
	verification := func(err error) error { return &tls.CertificateVerificationError{Err: err} }
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"the key may not be used":       {denied("AccessDenied", "not authorized to perform: kms:Decrypt on resource"), "allow kms:Decrypt"},
		"the key is disabled":           {denied("KMS.DisabledException", "arn:aws:kms:us-east-1:111122223333:key/1 is disabled"), "enable it"},
		"denied, plainly":               {denied("AccessDenied", "Access Denied"), "s3:GetObject"},
		"a write, denied":               {writing("Access Denied"), "iam-policy --publish"},
		"a write, denied by the bucket": {writing("not authorized to perform: s3:PutObject with an explicit deny in a resource-based policy"), "--sse"},
		"a write, denied above":         {writing("not authorized to perform: s3:PutObject with an explicit deny in a service control policy"), "stronger"},
		"denied by a policy above":      {errors.Join(bucket.ErrDenied, errors.New("with an explicit deny in a service control policy")), "stronger"},
		"the action, denied above":      {fmt.Errorf("%w: with an explicit deny in a service control policy", lifecycle.ErrNotCompleted), "stronger"},
		"Glacier":                       {denied("InvalidObjectState", "not valid for the object storage class"), "Glacier"},
		"no bucket":                     {errors.Join(bucket.ErrNotFound, &s3.Error{Status: 400, Code: "NoSuchBucket"}), "no such bucket"},
		"no directory":                  {errors.Join(bucket.ErrNotFound, &fs.PathError{Op: "open", Path: "/a", Err: syscall.ENOENT}), "create it"},
		"no object in the directory":    {errors.Join(bucket.ErrNotFound, &fs.PathError{Op: "openat", Path: "a", Err: syscall.ENOENT}), "koboshi releases"},
		"a read-only place of others":   {syscall.EROFS, "could not be written there"},
		"no object":                     {errors.Join(bucket.ErrNotFound, &s3.Error{Status: 400, Code: "NoSuchKey"}), "koboshi releases"},
		"an old token":                  {errors.Join(bucket.ErrCredentials, &s3.Error{Status: 400, Code: "ExpiredToken"}), "session has expired"},
		"a wrong key id":                {errors.Join(bucket.ErrCredentials, &s3.Error{Status: 400, Code: "InvalidAccessKeyId"}), "AWS_ACCESS_KEY_ID"},
		"a wrong clock":                 {errors.Join(bucket.ErrCredentials, &s3.Error{Status: 400, Code: "RequestTimeTooSkewed"}), "clock"},
		"an account that is suspended":  {denied("AccountProblem", ""), "AWS Support"},
		"another region":                {&s3.Error{Status: 400, Code: "PermanentRedirect"}, "another region"},

		"read-only":              {disk(syscall.EROFS), "read-only"},
		"a bad disk":             {disk(syscall.EIO), "dmesg"},
		"a quota":                {disk(syscall.EDQUOT), "quota"},
		"full":                   {disk(syscall.ENOSPC), "df -h"},
		"a file in the way":      {fmt.Errorf("%w: %w", state.ErrDisk, syscall.ENOTDIR), "a file stands"},
		"a directory in the way": {fmt.Errorf("%w: %w", state.ErrDisk, syscall.EISDIR), "a directory where a file is"},
		"no permission":          {disk(syscall.EACCES), map[bool]string{true: "chattr", false: "run it as root"}[os.Geteuid() == 0]},
		"systemd cannot execute": {exit(203), "noexec"},
		"no such directory":      {exit(200), "WorkingDirectory="},
		"no such group":          {exit(216), "Group="},
		"no such user":           {exit(217), "User="},
		"no sandbox":             {exit(226), "sandbox"},
		"no such credential":     {exit(243), "LoadCredential="},
		"no environment":         {started(&systemd.JobError{Unit: "web.service", Result: "failed", Cause: "resources"}), "EnvironmentFile="},
		"the app's own exit":     {exit(1), "journalctl"},
		"another architecture":   {started(&fs.PathError{Op: "fork/exec", Err: syscall.ENOEXEC}), "architecture"},
		"no such program":        {started(&fs.PathError{Op: "fork/exec", Err: syscall.ENOENT}), "no such program"},
		"not in PATH":            {started(errors.New("exec: \"x\": executable file not found in $PATH")), "no such program"},
		"no D-Bus":               {started(&fs.PathError{Op: "dial", Err: syscall.ENOENT}), "journalctl"},
		"not executable":         {started(&fs.PathError{Op: "fork/exec", Err: syscall.EACCES}), "noexec"},
		"a dependency":           {started(&systemd.JobError{Result: "dependency"}), "list-dependencies"},
		"not ready in time":      {started(&systemd.JobError{Result: "failed", Cause: "timeout"}), "READY=1"},
		"no unit":                {started(systemd.ErrNoUnit), "service.unit_file"},
		"no systemd":             {started(systemd.ErrNotBooted), "service.restart"},

		"a probe, redirected":        {ill(&health.StatusError{Status: 301}), "redirect"},
		"a probe of another host":    {ill(&health.StatusError{Status: 421}), "health.host"},
		"a probe of a strict app":    {ill(&health.StatusError{Status: 400}), "ALLOWED_HOSTS"},
		"a probe that has to log in": {ill(&health.StatusError{Status: 401}), "no login"},
		"a probe of no page":         {ill(&health.StatusError{Status: 404}), "no such page"},
		"a probe, unavailable":       {ill(&health.StatusError{Status: 503}), "app's own log"},
		"a probe, another authority": {ill(verification(x509.UnknownAuthorityError{})), "health.ca"},
		"a probe, expired":           {ill(verification(x509.CertificateInvalidError{Reason: x509.Expired})), "renew"},
		"a probe, another name":      {ill(verification(x509.HostnameError{Certificate: &x509.Certificate{}})), "health.host"},
		"a probe, no TLS":            {ill(tls.RecordHeaderError{}), "http://"},
		"a probe, no listener":       {ill(syscall.ECONNREFUSED), "nothing listens"},
		"no watch":                   {numbered(nodeid.ErrNoWatch), "koboshi-watch.service"},
		"the clock":                  {numbered(lease.ErrClock), "chronyc"},
		"no id is left":              {numbered(&lease.NoneError{IDs: 1, Held: 1}), "koboshi node-id list"},
		"the lease is lost":          {numbered(lease.ErrLost), "an operator has freed"},
		"the table is away":          {numbered(errors.New("dial tcp: i/o timeout")), "VPC endpoint to node_id.table"},
		"the table may not be used":  {numbered(writing("Access Denied")), "koboshi iam-policy"},
		"no such table":              {numbered(lease.ErrNoTable), "node_id.table"},
		"no such bucket for ids":     {numbered(errors.Join(bucket.ErrNotFound, &s3.Error{Status: 404, Code: "NoSuchBucket"})), "node_id.table"},
		"no disk for the lease":      {numbered(state.ErrDisk), "state.dir"},
		"a release of a live one":    {lease.ErrRenewed, "koboshi drain there"},
		"a release of no item":       {lease.ErrItem, "leaves alone"},
		"a release of a free one":    {lease.ErrFree, "koboshi node-id list"},
		"another table":              {&lease.RowsError{Err: lease.ErrKeys}, "koboshi help node-ids"},
		"no such rows":               {&lease.RowsError{Err: lease.ErrNoTable}, "region"},
		"rows that do not answer":    {&lease.RowsError{Err: errors.New("i/o timeout")}, "AWS_ENDPOINT_URL"},

		"a source, other authority": {errors.Join(fetch.ErrTransport, verification(x509.UnknownAuthorityError{})), "AWS_CA_BUNDLE"},
		"a source, expired":         {errors.Join(fetch.ErrTransport, verification(x509.CertificateInvalidError{Reason: x509.Expired})), "clock"},
		"a source, another name":    {errors.Join(fetch.ErrTransport, verification(x509.HostnameError{Certificate: &x509.Certificate{}})), "AWS_ENDPOINT_URL"},
	} {
		if got := Explain(tt.err).Hint; !strings.Contains(got, tt.want) {
			t.Errorf("%s: the hint is %q, want %q in it", name, got, tt.want)
		}
	}
}

// What an app wrote before it failed to come up is explained with the error.
func TestExplainHasTheOutput(t *testing.T) {
	start := &service.StartError{Err: &health.UnhealthyError{Last: errors.New("gone")}, Last: []string{"connecting", "DATABASE_URL is not set"}}
	if e := Explain(fmt.Errorf("gate: %w", start)); e.Code != int(Unhealthy) || !slices.Equal(e.Output, start.Last) {
		t.Errorf("%+v", e)
	}
}

// A person who pressed Ctrl-C reads that the command was interrupted, once.
func TestInterruptedInWords(t *testing.T) {
	for _, err := range []error{
		Mark(fmt.Errorf("put web: %w", context.Canceled), ErrInterrupted),
		fmt.Errorf("%w: put web: %w", ErrInterrupted, context.Canceled),
	} {
		if got := Explain(err).Message; got != "interrupted: put web" {
			t.Errorf("%q is explained as %q", err, got)
		}
	}
}
