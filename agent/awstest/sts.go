package awstest

import (
	"net/http"
	"regexp"
	"strings"
)

// newSTS answers who signed a request.
func newSTS() *query {
	return &query{
		namespace: "https://sts.amazonaws.com/doc/2011-06-15/",
		actions:   map[string]operation{"GetCallerIdentity": getCallerIdentity},
	}
}

type callerIdentity struct {
	Arn     string
	UserID  string `xml:"UserId"`
	Account string
}

// getCallerIdentity is the role session of an instance, or a user for any other key.
func getCallerIdentity(_ params, r *http.Request) (any, error) {
	if id := signer(r); id != "" {
		return callerIdentity{"arn:aws:sts::" + accountID + ":assumed-role/koboshi-instance/" + id, "AROAEXAMPLE:" + id, accountID}, nil
	}
	return callerIdentity{"arn:aws:iam::" + accountID + ":user/mock", "AIDAEXAMPLE", accountID}, nil
}

// instanceKey is how accessKey names an instance.
var instanceKey = regexp.MustCompile(`Credential=ASIA([0-9A-F]{16})/`)

// signer is the id of the instance whose role signed the request, or "".
// Signatures themselves are not checked.
func signer(r *http.Request) string {
	m := instanceKey.FindStringSubmatch(r.Header.Get("Authorization"))
	if m == nil {
		return ""
	}
	return "i-0" + strings.ToLower(m[1])
}
