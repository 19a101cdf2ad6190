package failure

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"

	"koboshi/agent/health"
	"koboshi/agent/state"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/s3"
	"koboshi/artifacts/store"
	"koboshi/systemd"
)

// cause is a reason that calls for another remedy than its class does.
type cause struct {
	codes []Code // of the failures that it explains; none = all
	is    func(error) bool
	hint  string
}

// causes are looked at from the top, before the hint of the table's row.
var causes = []cause{
	{nil, s3Code("KMS."), "the KMS key that encrypts the objects is disabled, deleted or in another account: enable it, or publish again under another key"},
	{nil, s3Says("kms:"), "the objects are encrypted: allow kms:Decrypt on their key, in the role's policy and in the key's (kms:GenerateDataKey to publish)"},
	{nil, s3Code("InvalidObjectState"), "the object was moved to an archive tier (Glacier): restore it, and keep lifecycle rules of the bucket away from this prefix"},
	{[]Code{NodeID}, s3Code("NoSuchBucket"), "there is no such bucket: compare its name with node_id.table"},
	{nil, s3Code("NoSuchBucket"), "there is no such bucket: compare its name with source"},
	{[]Code{Resolve}, noDirectory, "the directory of the source does not exist: create it, or compare its path with source"},
	{nil, s3Code("ExpiredToken", "TokenRefreshRequired"), "the session has expired: get new credentials; on an instance they are fetched again by the next run"},
	{nil, s3Code("InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch"), "the credentials are not valid here: check AWS_ACCESS_KEY_ID and AWS_PROFILE, and whether they belong to this partition and endpoint"},
	{nil, s3Code("RequestTimeTooSkewed"), "the clock of this machine is wrong: check chronyd or systemd-timesyncd"},
	{nil, s3Code("AccountProblem", "AllAccessDisabled", "NotSignedUp"), "AWS has suspended the account of the bucket: its owner has to ask AWS Support"},
	{nil, s3Code("PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"), "the bucket is in another region: name it behind the source, ?region=REGION"},
	{[]Code{Credentials}, deniedPut, "allow s3:PutObject on this prefix (koboshi iam-policy --publish); where the bucket's policy demands encryption, give --sse and --sse-kms-key-id"},
	{[]Code{Credentials, Lifecycle}, says("explicit deny"), "an explicit deny is stronger than what the role allows: look for it in the bucket's policy, service control policies, permissions boundaries and the policy of the VPC endpoint"},

	{[]Code{Unhealthy}, redirected, "a redirect is no answer of the app: set health.url to the address that it leads to, or to a path that is answered without one"},
	{[]Code{Unhealthy}, answered(http.StatusBadRequest), "look for the reason in the app's own log; an app that accepts only its own names (Django's ALLOWED_HOSTS) is asked by one of them with health.host"},
	{[]Code{Unhealthy}, answered(http.StatusMisdirectedRequest), "the app does not answer for the host in health.url: set health.host to a name that it has, or let it accept that one"},
	{[]Code{Unhealthy}, answered(http.StatusUnauthorized, http.StatusForbidden), "the probe is refused: set health.url to a path that needs no login, or health.host to a name that the app accepts"},
	{[]Code{Unhealthy}, answered(http.StatusNotFound), "the app has no such page: compare the path of health.url with the release"},
	{[]Code{Unhealthy}, as[x509.UnknownAuthorityError](), "the probe does not know the authority of the app's certificate: set health.ca to its PEM file, add it to the machine's certificates, or probe a port without TLS"},
	{[]Code{Unhealthy}, expired, "renew the app's certificate, or set this machine's clock"},
	{[]Code{Unhealthy}, as[x509.HostnameError](), "the app's certificate is for another name: set health.host to one of its names"},
	{[]Code{Unhealthy}, as[tls.RecordHeaderError](), "the app does not speak TLS at that port: write health.url with http://"},
	{[]Code{Unhealthy}, errno(syscall.ECONNREFUSED), "nothing listens where the probe asks: compare the port with the app's, and check the app's own log"},

	{nil, as[x509.UnknownAuthorityError](), "the authority of the certificate is not known here: for S3 set AWS_CA_BUNDLE, elsewhere SSL_CERT_FILE, to its PEM file"},
	{nil, expired, "the server's certificate has expired or is not valid yet: check this machine's clock, then the server"},
	{nil, as[x509.HostnameError](), "the server's certificate is for another name: check source, AWS_ENDPOINT_URL and the proxy"},
	{nil, as[tls.RecordHeaderError](), "what answers does not speak TLS: check source, AWS_ENDPOINT_URL and the proxy for https where http is meant"},

	{[]Code{Activate}, is(systemd.ErrNoUnit), "systemd knows no such unit: bake it into the AMI, or let the release bring it (service.unit_file)"},
	{[]Code{Activate}, is(systemd.ErrNotBooted), "without systemd as PID 1 set service.restart, and service.stop, in place of service.unit"},
	{[]Code{Activate, Unhealthy}, exited(200), "WorkingDirectory= of the unit does not exist or is closed to its user"},
	{[]Code{Activate, Unhealthy}, exited(203), "systemd could not execute the program: check the path in ExecStart=, that it may be executed, that its interpreter exists, that it is built for this architecture, and that it is not on a file system mounted noexec"},
	{[]Code{Activate, Unhealthy}, exited(216), "Group= of the unit does not exist on this machine: bake it into the AMI (sysusers.d)"},
	{[]Code{Activate, Unhealthy}, exited(217), "User= of the unit does not exist on this machine: bake it into the AMI (sysusers.d)"},
	{[]Code{Activate, Unhealthy}, exited(226), "systemd could not set up the unit's sandbox: every path in ReadWritePaths=, BindPaths= and the like has to exist"},
	{[]Code{Activate, Unhealthy}, exited(243), "a credential of the app's unit cannot be read: check LoadCredential= and SetCredential= in systemctl cat, and what is to write those files"},
	{[]Code{Activate, Unhealthy}, unprepared, "systemd could not prepare the unit; a file of EnvironmentFile= may be missing: journalctl -b -u the unit"},
	{[]Code{Activate}, notStarted(syscall.ENOEXEC), "the program is not built for this architecture, or is a script without #! in its first line"},
	{[]Code{Activate}, notStarted(syscall.ENOENT), "there is no such program: one without a slash is looked up in PATH, and a script needs its interpreter"},
	{[]Code{Activate}, notStarted(syscall.EACCES), "the program may not be executed: check its mode, and that it is not on a file system mounted noexec"},
	{[]Code{Activate}, job("dependency"), "a unit that the app's unit requires did not start: systemctl list-dependencies, systemctl --failed"},
	{[]Code{Activate}, notReady, "the unit did not become ready in time: with Type=notify the app has to send READY=1; see TimeoutStartSec="},

	{[]Code{Configuration, Disk, Locked, Resolve}, func(err error) bool { return mayNot(err) && os.Geteuid() != 0 }, "run it as root"},
	{[]Code{Disk}, readOnly, "the file system is mounted read-only: give install.root, state.dir and state.run a place that may be written, and check the kernel's log for why it was made read-only"},
	{[]Code{Disk}, errno(syscall.EIO), "the disk fails: check dmesg and the EBS volume; replacing the instance is the surest way"},
	{[]Code{Disk}, errno(syscall.EDQUOT), "a quota is used up: check quota -v of install.root and state.dir"},
	{[]Code{Disk}, mayNot, "root itself may not write there: look for chattr +i, SELinux, or a unit with ProtectSystem= and no ReadWritePaths="},
	{[]Code{Disk}, errno(syscall.ENOTDIR, syscall.EEXIST, syscall.EISDIR), "a file stands where a directory is needed, or a directory where a file is: remove it, or set another install.root, state.dir or state.run"},
}

// causeOf is the hint for what is behind a failure, "" where the class says it all.
func causeOf(err error, code Code) string {
	for _, c := range causes {
		if (len(c.codes) == 0 || slices.Contains(c.codes, code)) && c.is(err) {
			return c.hint
		}
	}
	return ""
}

func says(text string) func(error) bool {
	return func(err error) bool { return strings.Contains(err.Error(), text) }
}

// s3Says matches what S3 gives as its reason for refusing.
func s3Says(text string) func(error) bool {
	return func(err error) bool {
		e, ok := errors.AsType[*s3.Error](err)
		return ok && strings.Contains(e.Message, text)
	}
}

// s3Code matches S3's error codes, by their beginning.
func s3Code(codes ...string) func(error) bool {
	return func(err error) bool {
		e, ok := errors.AsType[*s3.Error](err)
		return ok && slices.ContainsFunc(codes, func(code string) bool { return strings.HasPrefix(e.Code, code) })
	}
}

// deniedPut matches a write that is not allowed, or that the bucket's own policy
// denies.
func deniedPut(err error) bool {
	e, ok := errors.AsType[*s3.Error](err)
	return ok && e.Op == "put" && e.Code == "AccessDenied" && (!strings.Contains(e.Message, "explicit deny") || strings.Contains(e.Message, "resource-based policy"))
}

func errno(numbers ...syscall.Errno) func(error) bool {
	return func(err error) bool {
		return slices.ContainsFunc(numbers, func(n syscall.Errno) bool { return errors.Is(err, n) })
	}
}

func expired(err error) bool {
	invalid, ok := errors.AsType[x509.CertificateInvalidError](err)
	return ok && invalid.Reason == x509.Expired
}

// noDirectory matches a file:/// source that is not there; its objects are opened
// from its directory (openat).
func noDirectory(err error) bool {
	e, ok := errors.AsType[*fs.PathError](err)
	return ok && e.Op == "open" && errors.Is(e, fs.ErrNotExist) && errors.Is(err, bucket.ErrNotFound)
}

// readOnly matches a directory of the agent's own; what else is written is where
// the caller wants it.
func readOnly(err error) bool {
	return errors.Is(err, syscall.EROFS) && is(state.ErrDisk, store.ErrDisk)(err)
}

func mayNot(err error) bool { return errors.Is(err, fs.ErrPermission) }

func answered(statuses ...int) func(error) bool {
	return func(err error) bool {
		e, ok := errors.AsType[*health.StatusError](err)
		return ok && slices.Contains(statuses, e.Status)
	}
}

func redirected(err error) bool {
	e, ok := errors.AsType[*health.StatusError](err)
	return ok && e.Status >= 300 && e.Status < 400
}

// notStarted matches a program of ours that the kernel did not execute, or that is
// nowhere in PATH.
func notStarted(number syscall.Errno) func(error) bool {
	return func(err error) bool {
		e, ok := errors.AsType[*fs.PathError](err)
		return ok && e.Op == "fork/exec" && errors.Is(e, number) ||
			number == syscall.ENOENT && strings.Contains(err.Error(), "executable file not found in $PATH")
	}
}

// exited matches an exit status with which systemd reports that it could not start a
// program (systemd.exec(5)).
func exited(status int32) func(error) bool {
	return func(err error) bool {
		e, ok := errors.AsType[*systemd.JobError](err)
		return ok && e.Cause == "exit-code" && e.Status == status
	}
}

// unprepared matches a unit that systemd gave up before it had started a process.
func unprepared(err error) bool {
	e, ok := errors.AsType[*systemd.JobError](err)
	return ok && e.Cause == "resources"
}

func job(result string) func(error) bool {
	return func(err error) bool {
		e, ok := errors.AsType[*systemd.JobError](err)
		return ok && e.Result == result
	}
}

func notReady(err error) bool {
	e, ok := errors.AsType[*systemd.JobError](err)
	return ok && (e.Cause == "timeout" || e.Result == "timeout")
}
