package sts

import (
	"net/http"
	"regexp"
	"time"

	"koboshi/agent/awstest/account"
	"koboshi/agent/awstest/query"
)

// assumeWithWebIdentity is the action that CI systems use with an OIDC token: the
// token takes the place of a signature.
const assumeWithWebIdentity = "AssumeRoleWithWebIdentity"

type sessionCredentials struct {
	AccessKeyID     string `xml:"AccessKeyId"`
	SecretAccessKey string
	SessionToken    string
	Expiration      string
}

type webIdentity struct {
	Credentials sessionCredentials
	AssumedRole struct {
		Arn           string
		AssumedRoleID string `xml:"AssumedRoleId"`
	} `xml:"AssumedRoleUser"`
}

var roleARN = regexp.MustCompile(`^arn:aws[a-z-]*:iam::[0-9]{12}:role/(.+/)?([A-Za-z0-9+=,.@_-]{1,64})$`)

// withWebIdentity gives credentials for any token: there is no one to ask about it.
func withWebIdentity(p query.Params, _ *http.Request) (any, error) {
	role, session := roleARN.FindStringSubmatch(p.Get("RoleArn")), p.Get("RoleSessionName")
	switch {
	case role == nil:
		return nil, query.Invalid("Request ARN is invalid")
	case session == "":
		return nil, query.Invalid("1 validation error detected: Value null at 'roleSessionName' failed to satisfy constraint: Member must not be null")
	case p.Get("WebIdentityToken") == "":
		return nil, &query.Error{Status: http.StatusBadRequest, Code: "InvalidIdentityToken", Message: "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"}
	}
	out := webIdentity{Credentials: sessionCredentials{
		AccessKeyID: "ASIAMOCKWEBIDENTITY1", SecretAccessKey: "secret", SessionToken: "token",
		Expiration: time.Now().Add(time.Hour).UTC().Format(time.RFC3339),
	}}
	out.AssumedRole.Arn = "arn:aws:sts::" + account.ID + ":assumed-role/" + role[2] + "/" + session
	out.AssumedRole.AssumedRoleID = "AROAEXAMPLE:" + session
	return out, nil
}
