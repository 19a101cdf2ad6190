// Package account is the AWS account that every mocked service is in.
package account

import (
	"net/http"
	"regexp"
	"strings"
)

// ID is the account's number.
const ID = "123456789012"

// AccessKey is the access key of an instance's role. It contains the instance's
// id, so that [Signer] can read who signed a request.
func AccessKey(instance string) string {
	return "ASIA" + strings.ToUpper(strings.TrimPrefix(instance, "i-0"))
}

// instanceKey matches the credential that AccessKey makes.
var instanceKey = regexp.MustCompile(`Credential=ASIA([0-9A-F]{16})/`)

// Signer is the id of the instance whose role signed the request, or "".
// The signature itself is not checked.
func Signer(r *http.Request) string {
	m := instanceKey.FindStringSubmatch(r.Header.Get("Authorization"))
	if m == nil {
		return ""
	}
	return "i-0" + strings.ToLower(m[1])
}
