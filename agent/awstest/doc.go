// Package awstest is a loopback AWS for tests and laptops, as
// net/http/httptest is to net/http: S3, DynamoDB, Auto Scaling, CloudFormation, CodeDeploy,
// ELB, STS, KMS, Parameter Store and Secrets Manager at one URL, and for each instance a
// metadata service (IMDSv2) of its own.
//
// A test starts a Server, creates groups, hooks and buckets, launches
// instances, and gives what it tests the instance's Env. AWS SDKs need
// nothing else: the endpoint comes from AWS_ENDPOINT_URL, region and
// credentials from IMDS. Then the test reads back what happened: the history
// of states, what became of each lifecycle action, the log of calls, the
// objects.
//
//	aws := awstest.New(t)
//	err := aws.CreateGroup(autoscaling.Group{Name: "web", Hooks: []autoscaling.Hook{
//		{Name: "koboshi-launching", Transition: autoscaling.OnLaunch},
//	}})
//	i, err := aws.Launch(autoscaling.LaunchOptions{Group: "web"}) // now Pending:Wait
//
// This package only assembles: faults has the script of faults and the log of
// calls; s3, dynamodb, autoscaling, cloudformation, codedeploy, elb, sts, ssm,
// secretsmanager, kms and imds are one service each; ec2 runs instances; control lets
// another process drive the server.
//
// Instances follow the lifecycle of Auto Scaling as in one table, driven by the
// clock: hooks wait, heartbeats extend, timeouts end. All events that are due
// happen before any read, so under testing/synctest a run is the same every
// time. IDs and addresses are the same in every run, too.
//
// A faults.Fault scripts a fault of any service; imds.Switches and
// autoscaling.LaunchOptions have faults that are specific to one service: late
// credentials, tags switched off, a hook that is not waiting yet.
//
// It never checks a signature or a policy, uses the network beyond its
// listeners, or keeps anything on disk. Only cmd/koboshi-mock and tests import it.
package awstest
