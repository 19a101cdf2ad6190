//go:build e2e

package awstest

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/cloudformation"
	"koboshi/agent/awstest/ec2"
	"koboshi/agent/awstest/faults"
)

// awsCLI is where Debian's package awscli puts version 2.
const awsCLI = "/usr/bin/aws"

// cli is the AWS CLI on an instance: credentials come from IMDS.
type cli struct {
	t        *testing.T
	endpoint string
	env      []string
}

func newCLI(t *testing.T, s *Server, i *ec2.Instance) cli {
	t.Helper()
	if _, err := os.Stat(awsCLI); err != nil {
		t.Fatalf("this test drives the real AWS CLI: apt-get install -y awscli (%v)", err)
	}
	env := append(i.Env(), "PATH=/usr/bin:/bin", "HOME="+t.TempDir(), "AWS_PAGER=", "AWS_DEFAULT_REGION="+"eu-west-1", "AWS_MAX_ATTEMPTS=1",
		"AWS_METADATA_SERVICE_TIMEOUT=60") // in place of one second, which a busy machine may need
	return cli{t, s.URL(), env}
}

func (c cli) try(args ...string) (stdout, stderr string, err error) {
	cmd := exec.CommandContext(c.t.Context(), awsCLI, append([]string{"--endpoint-url", c.endpoint, "--output", "json"}, args...)...)
	var out, errs bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = c.env, &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

func (c cli) run(args ...string) string {
	c.t.Helper()
	stdout, stderr, err := c.try(args...)
	if err != nil {
		c.t.Fatalf("aws %q: %v\n%s", args, err, stderr)
	}
	return stdout
}

// fails checks for an error that contains the text.
func (c cli) fails(text string, args ...string) {
	c.t.Helper()
	_, stderr, err := c.try(args...)
	if err == nil || !strings.Contains(stderr, text) {
		c.t.Errorf("aws %q: got %v %s, want %q", args, err, stderr, text)
	}
}

func cliInto[T any](c cli, args ...string) (v T) {
	c.t.Helper()
	check(c.t, json.Unmarshal([]byte(c.run(args...)), &v))
	return v
}

// pattern is n bytes without a period that a part or range could hide behind.
func pattern(n int) []byte {
	data := make([]byte, 0, n+sha256.Size)
	sum := sha256.Sum256(nil)
	for len(data) < n {
		data = append(data, sum[:]...)
		sum = sha256.Sum256(sum[:])
	}
	return data[:n]
}

func TestCLIObjects(t *testing.T) {
	s := New(t)
	i, err := s.Launch(autoscaling.LaunchOptions{AZ: "eu-west-1a"})
	check(t, err)
	aws, dir := newCLI(t, s, i), t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		check(t, os.MkdirAll(filepath.Dir(path), 0o755))
		check(t, os.WriteFile(path, data, 0o644))
		return path
	}
	read := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(dir, name))
		check(t, err)
		return data
	}
	big := pattern(20 << 20)

	aws.run("s3", "mb", "s3://releases")
	aws.run("s3", "cp", write("small", []byte("hello")), "s3://releases/app/small")
	aws.run("s3", "cp", write("big", big), "s3://releases/app/big")
	equal(t, s.S3().Keys("releases"), []string{"app/big", "app/small"})
	stored, _ := s.S3().Object("releases", "app/big")
	equal(t, bytes.Equal(stored, big), true)
	if n := s.Calls().Count("s3", "UploadPart"); n != 3 {
		t.Errorf("20 MB came in %d parts, want the CLI's 3", n)
	}

	listing := strings.Fields(aws.run("s3", "ls", "s3://releases/app/"))
	equal(t, []string{listing[2], listing[3], listing[6], listing[7]}, []string{"20971520", "big", "5", "small"})
	head := cliInto[struct{ ContentLength int }](aws, "s3api", "head-object", "--bucket", "releases", "--key", "app/big")
	equal(t, head.ContentLength, len(big))
	part := cliInto[struct{ ContentRange string }](aws, "s3api", "get-object", "--bucket", "releases", "--key", "app/big", "--range", "bytes=10000000-10000099", filepath.Join(dir, "part"))
	equal(t, part.ContentRange, "bytes 10000000-10000099/20971520")
	equal(t, read("part"), big[10000000:10000100])
	aws.run("s3", "cp", "s3://releases/app/big", filepath.Join(dir, "again"))
	equal(t, bytes.Equal(read("again"), big), true)

	write("tree/a", []byte("a"))
	write("tree/sub/b with space", []byte("b"))
	aws.run("s3", "sync", filepath.Join(dir, "tree"), "s3://releases/tree")
	equal(t, s.S3().Keys("releases")[2:], []string{"tree/a", "tree/sub/b with space"})
	check(t, os.Remove(filepath.Join(dir, "tree/a")))
	aws.run("s3", "sync", "--delete", filepath.Join(dir, "tree"), "s3://releases/tree")
	aws.run("s3", "sync", "s3://releases/tree", filepath.Join(dir, "back"))
	equal(t, string(read("back/sub/b with space")), "b")

	aws.encryption(dir)
	aws.run("s3", "rm", "--recursive", "s3://releases/app")
	equal(t, s.S3().Keys("releases"), []string{"tree/sub/b with space"})
	aws.fails("404", "s3api", "head-object", "--bucket", "releases", "--key", "app/small")
}

// encryption writes to a bucket that demands one key.
func (c cli) encryption(dir string) {
	c.t.Helper()
	const key = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
	policy := filepath.Join(dir, "policy.json")
	check(c.t, os.WriteFile(policy, []byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::releases/*",`+
		`"Condition":{"ArnNotEqualsIfExists":{"s3:x-amz-server-side-encryption-aws-kms-key-id":"`+key+`"}}}]}`), 0o644))
	c.run("s3api", "put-bucket-policy", "--bucket", "releases", "--policy", "file://"+policy)
	for _, name := range []string{"small", "big"} {
		c.fails("AccessDenied", "s3", "cp", filepath.Join(dir, name), "s3://releases/kms/"+name)
		c.fails("AccessDenied", "s3", "cp", "--sse", "AES256", filepath.Join(dir, name), "s3://releases/kms/"+name)
		c.run("s3", "cp", "--sse", "aws:kms", "--sse-kms-key-id", key, filepath.Join(dir, name), "s3://releases/kms/"+name)
		head := cliInto[struct{ ServerSideEncryption, SSEKMSKeyID string }](c, "s3api", "head-object", "--bucket", "releases", "--key", "kms/"+name)
		equal(c.t, head, struct{ ServerSideEncryption, SSEKMSKeyID string }{"aws:kms", key})
	}
	c.fails("InvalidArgument", "s3api", "put-object", "--bucket", "releases", "--key", "k", "--ssekms-key-id", key)
	c.run("s3api", "delete-bucket-policy", "--bucket", "releases")
	c.run("s3", "rm", "--recursive", "s3://releases/kms")
}

// TestCLILife takes one instance through a warm pool, service, standby and out,
// with a load balancer, as the AWS CLI drives and shows it.
func TestCLILife(t *testing.T) {
	s := New(t)
	outside, err := s.Launch(autoscaling.LaunchOptions{AZ: "eu-west-1a"})
	check(t, err)
	aws := newCLI(t, s, outside)
	type targetGroups struct {
		TargetGroups []struct{ TargetGroupArn, TargetGroupName string }
	}
	arn := cliInto[targetGroups](aws, "elbv2", "create-target-group", "--name", "blue", "--protocol", "HTTP", "--port", "8080", "--vpc-id", "vpc-0123456789abcdef0").TargetGroups[0].TargetGroupArn
	equal(t, cliInto[targetGroups](aws, "elbv2", "describe-target-groups", "--names", "blue").TargetGroups[0].TargetGroupArn, arn)
	aws.fails("DuplicateTargetGroupName", "elbv2", "create-target-group", "--name", "blue", "--protocol", "HTTP", "--port", "80")
	aws.run("elbv2", "modify-target-group-attributes", "--target-group-arn", arn, "--attributes", "Key=deregistration_delay.timeout_seconds,Value=3600")

	ofGroup := []string{"--auto-scaling-group-name", "web"}
	group := func(args ...string) { aws.run(append(append([]string{"autoscaling"}, args...), ofGroup...)...) }
	group("create-auto-scaling-group", "--min-size", "0", "--max-size", "3", "--availability-zones", "eu-west-1a", "--target-group-arns", arn)
	group("put-warm-pool", "--min-size", "1", "--pool-state", "Stopped", "--instance-reuse-policy", "ReuseOnScaleIn=true")
	type pool struct {
		WarmPoolConfiguration struct {
			MinSize             int
			PoolState           string
			InstanceReusePolicy struct{ ReuseOnScaleIn bool }
		}
		Instances []struct{ InstanceID, LifecycleState string }
	}
	warm := cliInto[pool](aws, append([]string{"autoscaling", "describe-warm-pool"}, ofGroup...)...)
	equal(t, []any{warm.WarmPoolConfiguration.MinSize, warm.WarmPoolConfiguration.PoolState, warm.WarmPoolConfiguration.InstanceReusePolicy.ReuseOnScaleIn, len(warm.Instances), warm.Instances[0].LifecycleState},
		[]any{1, "Stopped", true, 1, "Warmed:Stopped"})
	id := warm.Instances[0].InstanceID
	health := func(want string) {
		t.Helper()
		type health struct {
			TargetHealthDescriptions []struct {
				TargetHealth struct{ State, Reason string }
			}
		}
		got := cliInto[health](aws, "elbv2", "describe-target-health", "--target-group-arn", arn, "--targets", "Id="+id).TargetHealthDescriptions[0].TargetHealth
		equal(t, strings.TrimSuffix(got.State+"/"+got.Reason, "/"), want)
	}
	type instances struct {
		AutoScalingInstances []struct{ LifecycleState string }
	}
	state := func(want string) {
		t.Helper()
		all := cliInto[instances](aws, "autoscaling", "describe-auto-scaling-instances", "--instance-ids", id).AutoScalingInstances
		equal(t, all[0].LifecycleState, want)
	}

	health("unused/Target.NotRegistered")
	group("set-desired-capacity", "--desired-capacity", "1")
	state("InService")
	health("healthy")
	aws.run("elbv2", "wait", "target-in-service", "--target-group-arn", arn, "--targets", "Id="+id)
	group("enter-standby", "--instance-ids", id, "--should-decrement-desired-capacity")
	state("EnteringStandby")
	health("draining/Target.DeregistrationInProgress")
	aws.run("elbv2", "register-targets", "--target-group-arn", arn, "--targets", "Id="+id)
	health("healthy")
	aws.run("elbv2", "modify-target-group-attributes", "--target-group-arn", arn, "--attributes", "Key=deregistration_delay.timeout_seconds,Value=0")
	aws.run("elbv2", "deregister-targets", "--target-group-arn", arn, "--targets", "Id="+id)
	aws.run("elbv2", "wait", "target-deregistered", "--target-group-arn", arn, "--targets", "Id="+id)
	health("unused/Target.NotRegistered")
	aws.fails("TargetGroupNotFound", "elbv2", "describe-target-health", "--target-group-arn", arn+"0")
	aws.fails("is in EnteringStandby: it cannot go to service", append([]string{"autoscaling", "exit-standby", "--instance-ids", id}, ofGroup...)...)

	group("set-desired-capacity", "--desired-capacity", "1")
	other := s.Instances()[2]
	equal(t, other.State(), autoscaling.InService)
	group("detach-instances", "--instance-ids", other.ID(), "--no-should-decrement-desired-capacity")
	equal(t, other.State(), autoscaling.Detached)
	group("delete-warm-pool", "--force-delete")
	aws.run("elbv2", "delete-target-group", "--target-group-arn", arn)
}

func TestCLIAutoScaling(t *testing.T) {
	s := New(t)
	outside, err := s.Launch(autoscaling.LaunchOptions{AZ: "eu-west-1a"})
	check(t, err)
	aws := newCLI(t, s, outside)
	who := cliInto[struct{ Arn string }](aws, "sts", "get-caller-identity")
	equal(t, who.Arn, "arn:aws:sts::123456789012:assumed-role/koboshi-instance/"+outside.ID())

	aws.run("autoscaling", "create-auto-scaling-group", "--auto-scaling-group-name", "web", "--min-size", "0", "--max-size", "2", "--availability-zones", "eu-west-1a")
	hook := []string{"--auto-scaling-group-name", "web", "--lifecycle-hook-name", "up"}
	aws.run(append([]string{"autoscaling", "put-lifecycle-hook", "--lifecycle-transition", "autoscaling:EC2_INSTANCE_LAUNCHING", "--heartbeat-timeout", "600"}, hook...)...)
	aws.fails("ValidationError", append([]string{"autoscaling", "put-lifecycle-hook", "--heartbeat-timeout", "10"}, hook...)...)
	type hooks struct {
		LifecycleHooks []struct{ HeartbeatTimeout, GlobalTimeout int }
	}
	aws.run("autoscaling", "put-lifecycle-hook", "--lifecycle-transition", "autoscaling:EC2_INSTANCE_LAUNCHING", "--auto-scaling-group-name", "web", "--lifecycle-hook-name", "green")
	described := cliInto[hooks](aws, "autoscaling", "describe-lifecycle-hooks", "--auto-scaling-group-name", "web")
	equal(t, described.LifecycleHooks[0].HeartbeatTimeout, 600)
	equal(t, described.LifecycleHooks[0].GlobalTimeout, 60000)
	equal(t, described.LifecycleHooks[1].HeartbeatTimeout, 3600)

	aws.run("autoscaling", "set-desired-capacity", "--auto-scaling-group-name", "web", "--desired-capacity", "1")
	type instances struct {
		AutoScalingInstances []struct{ InstanceID, LifecycleState, AutoScalingGroupName string }
	}
	waiting := cliInto[instances](aws, "autoscaling", "describe-auto-scaling-instances").AutoScalingInstances
	equal(t, len(waiting), 1)
	equal(t, waiting[0].LifecycleState, "Pending:Wait")
	member, err := s.Instance(waiting[0].InstanceID)
	check(t, err)

	hook = append(hook, "--instance-id", member.ID())
	aws.run(append([]string{"autoscaling", "record-lifecycle-action-heartbeat"}, hook...)...)
	complete := append([]string{"autoscaling", "complete-lifecycle-action", "--lifecycle-action-result", "CONTINUE"}, hook...)
	aws.run(complete...)
	aws.fails("No active Lifecycle Action found with instance ID "+member.ID(), complete...)
	equal(t, member.State(), autoscaling.PendingWait)
	aws.run("autoscaling", "complete-lifecycle-action", "--lifecycle-action-result", "CONTINUE", "--auto-scaling-group-name", "web", "--lifecycle-hook-name", "green", "--instance-id", member.ID())
	equal(t, member.State(), autoscaling.InService)
	equal(t, []int{member.Actions()[0].Heartbeats, member.Actions()[1].Heartbeats}, []int{0, 1}) // green, up

	type groups struct {
		AutoScalingGroups []struct {
			Instances []struct{ LifecycleState string }
		}
	}
	one := cliInto[groups](aws, "autoscaling", "describe-auto-scaling-groups", "--auto-scaling-group-names", "web")
	equal(t, one.AutoScalingGroups[0].Instances[0].LifecycleState, "InService")
	s.Faults().Add(faults.Fault{Service: "autoscaling", Status: 400, Code: "Throttling", Message: "Rate exceeded"})
	aws.fails("(Throttling) when calling the DescribeAutoScalingGroups operation", "autoscaling", "describe-auto-scaling-groups")
}

func TestCLIStacks(t *testing.T) {
	s := New(t)
	i, err := s.Launch(autoscaling.LaunchOptions{AZ: "eu-west-1a"})
	check(t, err)
	aws := newCLI(t, s, i)
	s.Stacks().Put(cloudformation.Stack{Name: "web", Resource: "Group", Count: 2})
	signal := func(id, status string) []string {
		return []string{"cloudformation", "signal-resource", "--stack-name", "web", "--logical-resource-id", "Group", "--unique-id", id, "--status", status}
	}
	status := func() string {
		return cliInto[struct {
			StackResourceDetail struct{ ResourceStatus string }
		}](aws, "cloudformation", "describe-stack-resource", "--stack-name", "web", "--logical-resource-id", "Group").StackResourceDetail.ResourceStatus
	}
	aws.run(signal("i-1", "SUCCESS")...)
	aws.fails("Signal with ID i-1 for resource Group already exists", signal("i-1", "SUCCESS")...)
	equal(t, status(), "CREATE_IN_PROGRESS")
	aws.run(signal(i.ID(), "SUCCESS")...)
	equal(t, status(), "CREATE_COMPLETE")
	aws.fails("is in CREATE_COMPLETE state and cannot be signaled", signal("i-3", "SUCCESS")...)
	aws.fails("Stack 'api' does not exist", "cloudformation", "describe-stack-resource", "--stack-name", "api", "--logical-resource-id", "Group")
	aws.fails("Resource Other does not exist for stack web", "cloudformation", "describe-stack-resource", "--stack-name", "web", "--logical-resource-id", "Other")

	s.Stacks().Put(cloudformation.Stack{Name: "web", Resource: "Group", Status: cloudformation.UpdateInProgress})
	aws.run(signal(i.ID(), "FAILURE")...)
	equal(t, status(), "UPDATE_FAILED")
}
