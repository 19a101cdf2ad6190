//go:build e2e

package awstest

import (
	"testing"

	"koboshi/agent/awstest/autoscaling"
)

type parameter struct {
	Name, Type, Value, ARN string
	Version                int
}

func TestCLIParameterStore(t *testing.T) {
	s := New(t)
	i, err := s.Launch(autoscaling.LaunchOptions{AZ: "eu-west-1a"})
	check(t, err)
	aws := newCLI(t, s, i)
	get := func(args ...string) parameter {
		t.Helper()
		return cliInto[struct{ Parameter parameter }](aws, append([]string{"ssm", "get-parameter", "--name"}, args...)...).Parameter
	}
	aws.run("ssm", "put-parameter", "--name", "/web/db", "--type", "SecureString", "--value", "hunter2")
	aws.fails("ParameterAlreadyExists", "ssm", "put-parameter", "--name", "/web/db", "--type", "SecureString", "--value", "x")
	aws.fails("ValidationException", "ssm", "put-parameter", "--name", "/web/new", "--value", "x")
	aws.fails("ValidationException", "ssm", "put-parameter", "--name", "web/db", "--type", "String", "--value", "x")
	if p := get("/web/db"); p.Type != "SecureString" || p.Value == "hunter2" || p.Value == "" {
		t.Errorf("encrypted: %+v", p)
	}
	equal(t, get("/web/db", "--with-decryption"), parameter{"/web/db", "SecureString", "hunter2", "arn:aws:ssm:eu-west-1:123456789012:parameter/web/db", 1})
	aws.run("ssm", "put-parameter", "--name", "/web/db", "--overwrite", "--value", "hunter3")
	equal(t, get("/web/db", "--with-decryption").Version, 2)
	aws.fails("ParameterNotFound", "ssm", "get-parameter", "--name", "/web/none")

	for _, name := range []string{"/web/a", "/web/deep/b", "/webber/c", "/web/1", "/web/2", "/web/3", "/web/4", "/web/5", "/web/6", "/web/7", "/web/8"} {
		s.SSM().Put(name, name)
	}
	names := func(args ...string) (names []string) {
		t.Helper()
		for _, p := range cliInto[struct{ Parameters []parameter }](aws, append([]string{"ssm", "get-parameters-by-path", "--path"}, args...)...).Parameters {
			names = append(names, p.Name)
		}
		return names
	}
	direct := []string{"/web/1", "/web/2", "/web/3", "/web/4", "/web/5", "/web/6", "/web/7", "/web/8", "/web/a", "/web/db"}
	equal(t, names("/web"), direct)
	equal(t, names("/web/", "--recursive"), append(direct, "/web/deep/b")) // two pages
	equal(t, names("/web", "--recursive", "--page-size", "2"), append(direct, "/web/deep/b"))
	equal(t, len(names("/none")), 0)
	aws.fails("ValidationException", "ssm", "get-parameters-by-path", "--path", "web")
	several := cliInto[struct {
		Parameters        []parameter
		InvalidParameters []string
	}](aws, "ssm", "get-parameters", "--names", "/web/a", "/web/none", "--with-decryption")
	equal(t, several.InvalidParameters, []string{"/web/none"})
	equal(t, several.Parameters[0].Value, "/web/a")
	equal(t, s.Calls().Count("ssm", "PutParameter"), 5)
}

func TestCLISecretsManager(t *testing.T) {
	s := New(t)
	i, err := s.Launch(autoscaling.LaunchOptions{AZ: "eu-west-1a"})
	check(t, err)
	aws := newCLI(t, s, i)
	type secret struct{ ARN, Name, SecretString, SecretBinary string }
	get := func(args ...string) secret {
		t.Helper()
		return cliInto[secret](aws, append([]string{"secretsmanager", "get-secret-value", "--secret-id"}, args...)...)
	}
	aws.run("secretsmanager", "create-secret", "--name", "web/key", "--secret-string", "hunter2")
	aws.fails("ResourceExistsException", "secretsmanager", "create-secret", "--name", "web/key", "--secret-string", "x")
	arn := "arn:aws:secretsmanager:eu-west-1:123456789012:secret:web/key-AbCdEf"
	equal(t, get("web/key"), secret{arn, "web/key", "hunter2", ""})
	aws.run("secretsmanager", "put-secret-value", "--secret-id", "web/key", "--secret-string", "hunter3")
	equal(t, get(arn).SecretString, "hunter3")
	equal(t, get("web/key", "--version-stage", "AWSPREVIOUS").SecretString, "hunter2")
	aws.fails("ResourceNotFoundException", "secretsmanager", "get-secret-value", "--secret-id", "web/none")
	aws.fails("ResourceNotFoundException", "secretsmanager", "get-secret-value", "--secret-id", "web/key", "--version-stage", "NEXT")
	aws.fails("ResourceNotFoundException", "secretsmanager", "put-secret-value", "--secret-id", "web/none", "--secret-string", "x")
	aws.run("secretsmanager", "create-secret", "--name", "web/bytes", "--secret-binary", "AAEC")
	equal(t, get("web/bytes").SecretBinary, "AAEC")
	aws.fails("UnknownOperationException", "secretsmanager", "list-secrets")
}
