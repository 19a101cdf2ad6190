package signer

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"

	"koboshi/agent/awsapi"
	"koboshi/artifacts"
	"koboshi/artifacts/iam"
)

// Errors of keys in KMS.
var (
	ErrNoKey       = errors.New("there is no such key in KMS, or it cannot be used")
	ErrKind        = errors.New("the key in KMS is of another kind")
	ErrDenied      = errors.New("denied by KMS")
	ErrUnavailable = errors.New("no answer from KMS")
)

var service = awsapi.Service{ID: "KMS", Name: "kms", Target: "TrentService", Version: "1.1"}

// What KMS calls plain Ed25519 over the message as it is. Its ED25519_PH_SHA_512 is
// another signature, over a hash of a hash, which no agent takes.
const (
	keySpec     = "ECC_NIST_EDWARDS25519"
	algorithm   = "ED25519_SHA_512"
	messageType = "RAW"
)

// MaxKMS is how many bytes of a message KMS signs.
const MaxKMS = 4096

// KMS is the key with this id, ARN or alias, in the region of its ARN or else of the
// configuration. Errors are [ErrNoKey], [ErrKind], [ErrDenied] and [ErrUnavailable],
// here and when the key signs.
//
// Source: https://docs.aws.amazon.com/kms/latest/APIReference/API_GetPublicKey.html
// and https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html
func KMS(ctx context.Context, cfg aws.Config, id string) (artifacts.PrivateKey, error) {
	if region := RegionOf(id); region != "" {
		cfg.Region = region
	}
	client := awsapi.New(cfg, service)
	var key struct {
		PublicKey []byte
		KeySpec   string
	}
	if _, err := client.Call(ctx, "GetPublicKey", map[string]string{"KeyId": id}, &key); err != nil {
		return artifacts.PrivateKey{}, explain(ctx, err)
	}
	if key.KeySpec != keySpec {
		return artifacts.PrivateKey{}, fmt.Errorf("%w: %.40q, want %s", ErrKind, key.KeySpec, keySpec)
	}
	public, err := artifacts.ParsePublicKeyDER(key.PublicKey)
	if err != nil {
		return artifacts.PrivateKey{}, fmt.Errorf("%w: %w", ErrKind, err)
	}
	return artifacts.Remote{Public: public, Most: MaxKMS, Sign: func(message []byte) ([]byte, error) {
		var signed struct{ Signature []byte }
		in := struct {
			KeyID            string `json:"KeyId"`
			Message          []byte
			MessageType      string
			SigningAlgorithm string
		}{id, message, messageType, algorithm}
		if _, err := client.Call(ctx, "Sign", in, &signed); err != nil {
			return nil, explain(ctx, err)
		}
		return signed.Signature, nil
	}}.Key(), nil
}

// RegionOf is the region of an ARN, "" for an id or an alias.
func RegionOf(id string) string {
	if parts := strings.Split(id, ":"); len(parts) > 4 && parts[0] == "arn" && parts[2] == "kms" {
		return parts[3]
	}
	return ""
}

func explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	refusal, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	class := ErrUnavailable
	switch refusal.ErrorCode() {
	case "NotFoundException", "InvalidArnException", "ValidationException", "DisabledException", "KMSInvalidStateException":
		class = ErrNoKey
	case "UnsupportedOperationException", "InvalidKeyUsageException":
		class = ErrKind
	case "AccessDeniedException", "UnrecognizedClientException", "ExpiredTokenException", "InvalidSignatureException", "MissingAuthenticationTokenException", "InvalidClientTokenId":
		class = ErrDenied
	}
	return fmt.Errorf("%w: %s", class, strings.TrimSuffix(refusal.ErrorCode()+": "+refusal.ErrorMessage(), ": "))
}

// Statements allow to sign with keys in KMS, by their ARNs, as koboshi does and in no
// other way. Without keys there are none.
//
// Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awskeymanagementservice.html
func Statements(keys []string) []iam.Statement {
	if len(keys) == 0 {
		return nil
	}
	sign := iam.Allow("Sign", keys, "kms:Sign")
	sign.Condition = map[string]map[string][]string{"StringEquals": {"kms:SigningAlgorithm": {algorithm}, "kms:MessageType": {messageType}}}
	return []iam.Statement{sign, iam.Allow("PublicKey", keys, "kms:GetPublicKey")}
}
