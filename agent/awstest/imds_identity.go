package awstest

import (
	"encoding/json"
	"strings"
	"time"
)

const defaultCredentialsFor = 6 * time.Hour

// credentials is the iam/ tree: absent without a role, the role's keys late if a switch says so.
func (i *Instance) credentials(now time.Time) map[string]string {
	if i.switches.NoRole {
		return nil
	}
	leaves := map[string]string{"iam/info": document(map[string]any{
		"Code":               "Success",
		"LastUpdated":        stamp(now),
		"InstanceProfileArn": "arn:aws:iam::" + accountID + ":instance-profile/" + i.options.Role,
		"InstanceProfileId":  "AIPAEXAMPLE",
	})}
	if !now.Before(i.launched.Add(i.switches.CredentialsAfter)) {
		leaves["iam/security-credentials/"+i.options.Role] = i.roleKeys(now)
	}
	return leaves
}

func (i *Instance) roleKeys(now time.Time) string {
	if code := i.switches.CredentialsCode; code != "" && code != "Success" {
		return document(map[string]any{"Code": code, "Message": "scripted by the mock", "LastUpdated": stamp(now)})
	}
	lifetime := i.switches.CredentialsFor
	if lifetime == 0 {
		lifetime = defaultCredentialsFor
	}
	return document(map[string]any{
		"Code":            "Success",
		"LastUpdated":     stamp(now),
		"Type":            "AWS-HMAC",
		"AccessKeyId":     i.accessKey(),
		"SecretAccessKey": "mock-secret-of-" + i.id,
		"Token":           "mock-session-of-" + i.id,
		"Expiration":      stamp(now.Add(lifetime)),
	})
}

// accessKey names the instance, so that a request tells who signed it.
func (i *Instance) accessKey() string {
	return "ASIA" + strings.ToUpper(i.id[3:])
}

// identity is the instance identity document. Its signatures are stubs: nothing verifies.
func (i *Instance) identity() map[string]string {
	doc := document(map[string]any{
		"accountId":               accountID,
		"architecture":            "x86_64",
		"availabilityZone":        i.options.AZ,
		"billingProducts":         nil,
		"devpayProductCodes":      nil,
		"marketplaceProductCodes": nil,
		"imageId":                 i.options.AMI,
		"instanceId":              i.id,
		"instanceType":            i.options.Type,
		"kernelId":                nil,
		"pendingTime":             stamp(i.launched),
		"privateIp":               i.ip.String(),
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
