// Package iam is the vocabulary of IAM policies. Each package that calls AWS
// exports the statements for its own calls; `koboshi iam-policy` assembles them.
//
// Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
package iam

import "strings"

// Policy is a document of IAM's own grammar.
type Policy struct {
	Version   string
	Statement []Statement
}

// Statement allows or denies actions on resources.
type Statement struct {
	Sid       string
	Effect    string
	Principal string `json:",omitzero"` // in a resource's own policy only
	Action    []string
	Resource  []string
	Condition map[string]map[string][]string `json:",omitzero"`
}

// version is the grammar's, not a date of ours.
const version = "2012-10-17"

// New is a policy of these statements.
func New(statements ...Statement) Policy { return Policy{version, statements} }

// Allow is a statement without a condition.
func Allow(sid string, resources []string, actions ...string) Statement {
	return Statement{Sid: sid, Effect: "Allow", Action: actions, Resource: resources}
}

// Deny is a statement for the policy of a resource itself, against everybody.
func Deny(sid string, resources []string, actions ...string) Statement {
	return Statement{Sid: sid, Effect: "Deny", Principal: "*", Action: actions, Resource: resources}
}

// Partitions are AWS's, the first word after arn: in every name.
var Partitions = []string{"aws", "aws-cn", "aws-us-gov"}

// Literal keeps IAM from reading a name as a pattern.
func Literal(name string) string {
	return strings.NewReplacer("*", "${*}", "?", "${?}", "$", "${$}").Replace(name)
}
