// Package sts answers who signed a request, and gives credentials for a web identity.
package sts

import (
	"net/http"

	"koboshi/agent/awstest/account"
	"koboshi/agent/awstest/query"
)

// New returns the API.
func New() *query.API {
	return query.New("https://sts.amazonaws.com/doc/2011-06-15/", map[string]query.Action{
		"GetCallerIdentity":   getCallerIdentity,
		assumeWithWebIdentity: withWebIdentity,
	}).Unsigned(assumeWithWebIdentity)
}

type callerIdentity struct {
	Arn     string
	UserID  string `xml:"UserId"`
	Account string
}

// getCallerIdentity is the role session of an instance, or a user for any other key.
func getCallerIdentity(_ query.Params, r *http.Request) (any, error) {
	if id := account.Signer(r); id != "" {
		return callerIdentity{"arn:aws:sts::" + account.ID + ":assumed-role/koboshi-instance/" + id, "AROAEXAMPLE:" + id, account.ID}, nil
	}
	return callerIdentity{"arn:aws:iam::" + account.ID + ":user/mock", "AIDAEXAMPLE", account.ID}, nil
}
