// Package secretsmanager is Secrets Manager: secrets of text or bytes are made, given
// another value, and read.
package secretsmanager

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"koboshi/agent/awstest/account"
	"koboshi/agent/awstest/jsonrpc"
)

// current is the stage of the newest version of a secret.
const current = "AWSCURRENT"

// Store has the secrets of all regions.
type Store struct {
	now     func() time.Time
	mu      sync.Mutex
	secrets map[string][]secret // by name, the newest version last
}

type secret struct {
	Text   string `json:"SecretString"`
	Binary []byte `json:"SecretBinary"`
	made   time.Time
}

// New is a store without secrets.
func New(now func() time.Time) *Store {
	return &Store{now: now, secrets: map[string][]secret{}}
}

// Put gives a secret a value, and makes it where there is none.
func (s *Store) Put(name, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secrets[name] = append(s.secrets[name], secret{Text: text, made: s.now()})
}

// API is the service over the store.
func (s *Store) API() *jsonrpc.API {
	return jsonrpc.New("secretsmanager", &s.mu, map[string]jsonrpc.Action{
		"CreateSecret":   s.create,
		"PutSecretValue": s.putValue,
		"GetSecretValue": s.getValue,
	})
}

// identified is what says which secret, and which version of it.
func (s *Store) identified(r jsonrpc.Request, name string) map[string]any {
	return map[string]any{"ARN": arn(r.Region, name), "Name": name, "VersionId": version(len(s.secrets[name]))}
}

func version(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

// suffix is random in AWS.
const suffix = "-AbCdEf"

func arn(region, name string) string {
	return "arn:aws:secretsmanager:" + region + ":" + account.ID + ":secret:" + name + suffix
}

func (s *Store) create(r jsonrpc.Request) (any, error) {
	var in struct {
		secret
		Name string
	}
	if err := r.Into(&in); err != nil {
		return nil, err
	}
	if in.Name == "" {
		return nil, &jsonrpc.Error{Code: "ValidationException", Message: "1 validation error detected: Value '' at 'name' failed to satisfy constraint: Member must have length greater than or equal to 1"}
	}
	if s.secrets[in.Name] != nil {
		return nil, &jsonrpc.Error{Code: "ResourceExistsException", Message: "The operation failed because the secret " + in.Name + " already exists."}
	}
	in.made = s.now()
	s.secrets[in.Name] = []secret{in.secret}
	return s.identified(r, in.Name), nil
}

// find is a secret's name by that or by its ARN.
func (s *Store) find(r jsonrpc.Request, id string) (string, error) {
	name := id
	if strings.HasPrefix(id, "arn:") {
		_, name, _ = strings.Cut(strings.TrimSuffix(id, suffix), ":secret:")
	}
	if s.secrets[name] == nil || name != id && id != arn(r.Region, name) {
		return "", &jsonrpc.Error{Code: "ResourceNotFoundException", Message: "Secrets Manager can't find the specified secret."}
	}
	return name, nil
}

func (s *Store) putValue(r jsonrpc.Request) (any, error) {
	var in struct {
		secret
		SecretID string `json:"SecretId"`
	}
	if err := r.Into(&in); err != nil {
		return nil, err
	}
	name, err := s.find(r, in.SecretID)
	if err != nil {
		return nil, err
	}
	in.made = s.now()
	s.secrets[name] = append(s.secrets[name], in.secret)
	return s.identified(r, name), nil
}

// getValue gives the current version, or by its stage the one before.
func (s *Store) getValue(r jsonrpc.Request) (any, error) {
	var in struct {
		SecretID string `json:"SecretId"`
		Stage    string `json:"VersionStage"`
	}
	if err := r.Into(&in); err != nil {
		return nil, err
	}
	name, err := s.find(r, in.SecretID)
	if err != nil {
		return nil, err
	}
	if in.Stage == "" {
		in.Stage = current
	}
	n := len(s.secrets[name])
	if in.Stage == "AWSPREVIOUS" {
		n--
	}
	if n == 0 || in.Stage != current && in.Stage != "AWSPREVIOUS" {
		return nil, &jsonrpc.Error{Code: "ResourceNotFoundException", Message: "Secrets Manager can't find the specified secret value for staging label: " + in.Stage}
	}
	chosen := s.secrets[name][n-1]
	out := s.identified(r, name)
	out["VersionId"], out["VersionStages"], out["CreatedDate"] = version(n), []string{in.Stage}, float64(chosen.made.UnixMilli())/1000
	if chosen.Binary != nil {
		out["SecretBinary"] = chosen.Binary
	} else {
		out["SecretString"] = chosen.Text
	}
	return out, nil
}
