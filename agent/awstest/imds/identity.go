package imds

import (
	"encoding/json"
	"time"

	"koboshi/agent/awstest/account"
)

const defaultCredentialsFor = 6 * time.Hour

// credentials is the iam/ tree: absent without a role; a switch can delay the role's keys.
func (i Instance) credentials(switches Switches, now time.Time) map[string]string {
	if switches.NoRole {
		return nil
	}
	leaves := map[string]string{"iam/info": document(map[string]any{
		"Code":               "Success",
		"LastUpdated":        stamp(now),
		"InstanceProfileArn": "arn:aws:iam::" + account.ID + ":instance-profile/" + i.Role,
		"InstanceProfileId":  "AIPAEXAMPLE",
	})}
	if !now.Before(i.Launched.Add(switches.CredentialsAfter)) {
		leaves["iam/security-credentials/"+i.Role] = roleKeys(i.ID, switches, now)
	}
	return leaves
}

func roleKeys(instance string, switches Switches, now time.Time) string {
	if code := switches.CredentialsCode; code != "" && code != "Success" {
		return document(map[string]any{"Code": code, "Message": "scripted by the mock", "LastUpdated": stamp(now)})
	}
	lifetime := switches.CredentialsFor
	if lifetime == 0 {
		lifetime = defaultCredentialsFor
	}
	return document(map[string]any{
		"Code":            "Success",
		"LastUpdated":     stamp(now),
		"Type":            "AWS-HMAC",
		"AccessKeyId":     account.AccessKey(instance),
		"SecretAccessKey": "mock-secret-of-" + instance,
		"Token":           "mock-session-of-" + instance,
		"Expiration":      stamp(now.Add(lifetime)),
	})
}

// identity is the instance identity document. Its signatures are stubs, which do
// not verify.
func (i Instance) identity() map[string]string {
	doc := document(map[string]any{
		"accountId":               account.ID,
		"architecture":            "x86_64",
		"availabilityZone":        i.AZ,
		"billingProducts":         nil,
		"devpayProductCodes":      nil,
		"marketplaceProductCodes": nil,
		"imageId":                 i.AMI,
		"instanceId":              i.ID,
		"instanceType":            i.Type,
		"kernelId":                nil,
		"pendingTime":             stamp(i.Launched),
		"privateIp":               i.IP.String(),
		"ramdiskId":               nil,
		"region":                  i.region(),
		"version":                 "2017-09-30",
	})
	return map[string]string{"document": doc, "pkcs7": "mock", "signature": "mock", "rsa2048": "mock"}
}

// document renders JSON as IMDS does: indented, keys sorted here.
func document(fields map[string]any) string {
	b, err := json.MarshalIndent(fields, "", "  ")
	if err != nil {
		return err.Error() // strings and nils always marshal
	}
	return string(b)
}
