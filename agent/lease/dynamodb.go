package lease

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"koboshi/agent/awsapi"
	"koboshi/artifacts/bucket"
)

// Attributes of DynamoDB's items. The table's keys are the first two.
const (
	shardKey = "shard" // text, <scope>#<id/64>: the partition key
	idKey    = "id"    // number: the sort key

	schemaAttribute  = "schema"
	scopeAttribute   = "scope"
	genAttribute     = "gen"
	stateAttribute   = "state"
	ownerAttribute   = "owner"
	nonceAttribute   = "nonce" // text, lower-case hex
	hwAttribute      = "hw_ms"
	slackAttribute   = "slack_ms"
	writtenAttribute = "written" // text, RFC 3339
)

const (
	rowShard = 64 // ids that one query reads, at 200 bytes each
	maxPages = 64 // of a query: items are small, unless somebody has stored others
)

// ErrNoTable is a table of DynamoDB that does not exist.
var ErrNoTable = errors.New("there is no such table in this region")

// ErrKeys is a table of DynamoDB that was made for something else.
var ErrKeys = errors.New("the table has other keys than shard (text, partition key) and id (number, sort key)")

// Rows is a [Table] of one item an id, in DynamoDB. The table's partition key is shard
// (text), its sort key id (number); it has no index, and no attribute for a time to live,
// which would delete generations.
//
// A write puts the whole item, under the condition that there is none, or that gen, nonce,
// hw_ms, slack_ms and state are what was read. Reads are consistent.
type Rows struct {
	client *awsapi.Client
	table  string
	scope  string
	now    func() time.Time
}

var _ Prober = (*Rows)(nil)

// NewRows is the items of a scope in a table. Region, credentials, retryer and HTTP client
// are those of cfg.
func NewRows(cfg aws.Config, table, scope string, now func() time.Time) *Rows {
	return &Rows{client: awsapi.New(cfg, dynamoDB), table: table, scope: scope, now: now}
}

// String implements [Table].
func (r *Rows) String() string { return "dynamodb://" + r.table }

// ShardSize implements [Table].
func (r *Rows) ShardSize() int { return rowShard }

var dynamoDB = awsapi.Service{ID: "DynamoDB", Name: "dynamodb", Target: "DynamoDB_20120810", Version: "1.0", PlainInGov: true}

// value is one attribute. Those of other types than text and number have neither. Source:
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html
type value struct {
	S *string `json:",omitzero"`
	N *string `json:",omitzero"` // decimal digits
}

// rowsRequest has the parameters of GetItem, PutItem and Query.
type rowsRequest struct {
	TableName                           string
	ConsistentRead                      bool              `json:",omitzero"`
	Key                                 map[string]value  `json:",omitzero"`
	Item                                map[string]value  `json:",omitzero"`
	ConditionExpression                 string            `json:",omitzero"`
	KeyConditionExpression              string            `json:",omitzero"`
	ExpressionAttributeNames            map[string]string `json:",omitzero"`
	ExpressionAttributeValues           map[string]value  `json:",omitzero"`
	ReturnValuesOnConditionCheckFailure string            `json:",omitzero"`
	ExclusiveStartKey                   jsontext.Value    `json:",omitzero"`
}

// rowsAnswer has what these three answer.
type rowsAnswer struct {
	Item             map[string]value
	Items            []map[string]value
	LastEvaluatedKey jsontext.Value // null at the end
}

func text(s string) value { return value{S: &s} }

func number[N int | int64](n N) value {
	s := strconv.FormatInt(int64(n), 10)
	return value{N: &s}
}

// partition is the key of a shard.
func (r *Rows) partition(shard int) value {
	return text(r.scope + "#" + strconv.Itoa(shard))
}

// call makes one call about the table.
func (r *Rows) call(ctx context.Context, operation string, in rowsRequest) (out rowsAnswer, at time.Time, err error) {
	in.TableName = r.table
	at, err = r.client.Call(ctx, operation, in, &out)
	return out, at, err
}

// Get implements [Table].
func (r *Rows) Get(ctx context.Context, id int) (Stored, error) {
	out, at, err := r.call(ctx, "GetItem", rowsRequest{ConsistentRead: true, Key: map[string]value{shardKey: r.partition(id / rowShard), idKey: number(id)}})
	if err != nil {
		return Stored{ID: id}, r.failed("GetItem", err)
	}
	return r.stored(id, out.Item, at), nil
}

// Swap implements [Table].
func (r *Rows) Swap(ctx context.Context, old Stored, next Item) (Stored, error) {
	if _, err := next.encode(r.scope, old.ID); err != nil {
		return Stored{ID: old.ID}, err
	}
	in := rowsRequest{Item: r.attributes(next), ReturnValuesOnConditionCheckFailure: "ALL_OLD"}
	switch {
	case !old.Exists:
		in.ConditionExpression = "attribute_not_exists(#id)"
		in.ExpressionAttributeNames = map[string]string{"#id": idKey}
	case old.Item == nil:
		return Stored{ID: old.ID}, fmt.Errorf("write node id %d over an item that was not read", old.ID)
	default:
		r.unchanged(&in, *old.Item)
	}
	_, at, err := r.call(ctx, "PutItem", in)
	if is, refused := unmet(err); refused {
		return r.stored(old.ID, is, time.Time{}), fmt.Errorf("%w: %w", ErrChanged, err)
	}
	if err != nil {
		return Stored{ID: old.ID}, r.failed("PutItem", err)
	}
	return Stored{ID: old.ID, Exists: true, Item: &next, Date: at}, nil
}

// unmet reports whether a condition did not hold, and what the item is instead, where the
// answer has it.
//
// Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_ConditionalCheckFailedException.html
func unmet(err error) (is map[string]value, refused bool) {
	answer, ok := errors.AsType[*awsapi.Error](err)
	if !ok || answer.Code != "ConditionalCheckFailedException" {
		return nil, false
	}
	var document struct{ Item map[string]value }
	if json.Unmarshal(answer.Body, &document) != nil {
		return nil, true
	}
	return document.Item, true
}

// unchanged is the condition that the item is still the one that was read.
func (r *Rows) unchanged(in *rowsRequest, old Item) {
	in.ConditionExpression = "#gen = :gen AND #nonce = :nonce AND #hw = :hw AND #slack = :slack AND #state = :state"
	in.ExpressionAttributeNames = map[string]string{
		"#gen": genAttribute, "#nonce": nonceAttribute, "#hw": hwAttribute, "#slack": slackAttribute, "#state": stateAttribute,
	}
	is := r.attributes(old)
	in.ExpressionAttributeValues = map[string]value{
		":gen": is[genAttribute], ":nonce": is[nonceAttribute], ":hw": is[hwAttribute], ":slack": is[slackAttribute], ":state": is[stateAttribute],
	}
}

// List implements [Table], with the items.
func (r *Rows) List(ctx context.Context, shard int) (found []Stored, err error) {
	in := rowsRequest{
		ConsistentRead: true, KeyConditionExpression: "#shard = :shard",
		ExpressionAttributeNames:  map[string]string{"#shard": shardKey},
		ExpressionAttributeValues: map[string]value{":shard": r.partition(shard)},
	}
	for range maxPages {
		page, at, err := r.call(ctx, "Query", in)
		if err != nil {
			return nil, r.failed("Query", err)
		}
		for _, attributes := range page.Items {
			if id, ok := integer(attributes[idKey]); ok && id >= 0 && id <= MaxID && int(id)/rowShard == shard {
				found = append(found, r.stored(int(id), attributes, at))
			}
		}
		if in.ExclusiveStartKey = page.LastEvaluatedKey; len(in.ExclusiveStartKey) == 0 || in.ExclusiveStartKey.Kind() == 'n' {
			return found, nil
		}
	}
	return nil, fmt.Errorf("%s: shard %d of scope %s has too much in it", r, shard, r.scope)
}

// probeKey is that of no id: no shard has such a name.
func (r *Rows) probeKey() map[string]value {
	return map[string]value{shardKey: text(r.scope + "#probe"), idKey: number(0)}
}

// PutProbe implements [Prober].
func (r *Rows) PutProbe(ctx context.Context, stale bool) error {
	in := rowsRequest{Item: r.probeKey()}
	in.Item["purpose"] = text(probeText)
	in.ConditionExpression = "attribute_not_exists(#is)"
	in.ExpressionAttributeNames = map[string]string{"#is": idKey}
	if stale {
		in.ConditionExpression = "#is = :gen"
		in.ExpressionAttributeNames = map[string]string{"#is": genAttribute}
		in.ExpressionAttributeValues = map[string]value{":gen": number(0)}
	}
	_, _, err := r.call(ctx, "PutItem", in)
	if _, refused := unmet(err); refused {
		return fmt.Errorf("%w: %w", ErrChanged, err)
	}
	return r.failed("PutItem", err)
}

// GetProbe implements [Prober].
func (r *Rows) GetProbe(ctx context.Context) (time.Time, error) {
	out, at, err := r.call(ctx, "GetItem", rowsRequest{ConsistentRead: true, Key: r.probeKey()})
	if err != nil {
		return time.Time{}, r.failed("GetItem", err)
	}
	if len(out.Item) == 0 {
		return time.Time{}, fmt.Errorf("%s has no longer what was written", r)
	}
	return at, nil
}

// attributes are those of an item.
func (r *Rows) attributes(i Item) map[string]value {
	return map[string]value{
		shardKey: r.partition(i.ID / rowShard), idKey: number(i.ID), schemaAttribute: number(i.Schema), scopeAttribute: text(i.Scope),
		genAttribute: number(i.Gen), stateAttribute: text(string(i.State)), ownerAttribute: text(i.Owner), nonceAttribute: text(i.Nonce.String()),
		hwAttribute: number(i.HW), slackAttribute: number(i.Slack), writtenAttribute: text(i.Written.Format(time.RFC3339Nano)),
	}
}

// stored is what the attributes of an id say; none = there is no item.
func (r *Rows) stored(id int, attributes map[string]value, at time.Time) Stored {
	s := Stored{ID: id, Exists: len(attributes) > 0, Date: at}
	if !s.Exists {
		return s
	}
	i, err := r.item(attributes)
	if err == nil {
		err = i.check(r.scope, id, r.now().UnixMilli())
	}
	if err != nil {
		s.Bad = err
		return s
	}
	s.Item = &i
	return s
}

// item reads attributes as strictly as [Parse] reads an object. Errors are ErrItem.
func (r *Rows) item(attributes map[string]value) (i Item, err error) {
	var id, version int64
	var state, nonce, written string
	for name, to := range map[string]*int64{idKey: &id, schemaAttribute: &version, genAttribute: &i.Gen, hwAttribute: &i.HW, slackAttribute: &i.Slack} {
		var ok bool
		if *to, ok = integer(attributes[name]); !ok {
			return Item{}, fmt.Errorf("%w: %s is not a whole number", ErrItem, name)
		}
	}
	for name, to := range map[string]*string{scopeAttribute: &i.Scope, stateAttribute: &state, ownerAttribute: &i.Owner, nonceAttribute: &nonce, writtenAttribute: &written} {
		is := attributes[name].S
		if is == nil {
			return Item{}, fmt.Errorf("%w: %s is not text", ErrItem, name)
		}
		*to = *is
	}
	i.Schema, i.ID, i.State = int(version), int(id), State(state)
	i.Written, err = time.Parse(time.RFC3339Nano, written)
	if err := errors.Join(err, i.Nonce.UnmarshalText([]byte(nonce))); err != nil {
		return Item{}, fmt.Errorf("%w: %w", ErrItem, err)
	}
	own := r.attributes(i)
	for name := range attributes {
		if _, known := own[name]; !known {
			return Item{}, fmt.Errorf("%w: unknown attribute %.64q", ErrItem, name)
		}
	}
	return i, nil
}

// integer is a whole number as DynamoDB writes it, without exponent.
func integer(v value) (int64, bool) {
	if v.N == nil {
		return 0, false
	}
	n, err := strconv.ParseInt(*v.N, 10, 64)
	return n, err == nil
}

// failed names the table, and finds the errors of package bucket, by which callers decide.
//
// Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
func (r *Rows) failed(operation string, err error) error {
	var api smithy.APIError
	if err == nil {
		return nil
	}
	if !errors.As(err, &api) {
		return &RowsError{operation, r.String(), err}
	}
	switch code := api.ErrorCode(); {
	case code == "AccessDeniedException":
		err = fmt.Errorf("%w: %w", bucket.ErrDenied, err)
	case slices.Contains([]string{"UnrecognizedClientException", "ExpiredTokenException", "InvalidSignatureException", "IncompleteSignatureException", "MissingAuthenticationTokenException", "InvalidClientTokenId"}, code):
		err = fmt.Errorf("%w: %w", bucket.ErrCredentials, err)
	case code == "ResourceNotFoundException":
		err = fmt.Errorf("%w: %w", ErrNoTable, err)
	case code == "ValidationException":
		err = fmt.Errorf("%w: %w", ErrKeys, err)
	}
	return &RowsError{operation, r.String(), err}
}

// RowsError is a request that DynamoDB has not answered, or refused.
type RowsError struct {
	Op, Table string
	Err       error
}

func (e *RowsError) Error() string { return e.Op + " " + e.Table + ": " + e.Err.Error() }

func (e *RowsError) Unwrap() error { return e.Err }
