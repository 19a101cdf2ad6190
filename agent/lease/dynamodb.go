package lease

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"

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
	client *dynamodb.Client
	table  string
	scope  string
	now    func() time.Time
}

var _ Prober = (*Rows)(nil)

// NewRows is the items of a scope in a table. Region, credentials, retryer and HTTP client
// are those of cfg.
func NewRows(cfg aws.Config, table, scope string, now func() time.Time) *Rows {
	return &Rows{client: dynamodb.NewFromConfig(cfg), table: table, scope: scope, now: now}
}

// String implements [Table].
func (r *Rows) String() string { return "dynamodb://" + r.table }

// ShardSize implements [Table].
func (r *Rows) ShardSize() int { return rowShard }

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func number[N int | int64](n N) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(int64(n), 10)}
}

// partition is the key of a shard.
func (r *Rows) partition(shard int) types.AttributeValue {
	return text(r.scope + "#" + strconv.Itoa(shard))
}

// Get implements [Table].
func (r *Rows) Get(ctx context.Context, id int) (Stored, error) {
	out, err := r.client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &r.table, ConsistentRead: aws.Bool(true),
		Key: map[string]types.AttributeValue{shardKey: r.partition(id / rowShard), idKey: number(id)},
	})
	if err != nil {
		return Stored{ID: id}, r.failed("GetItem", err)
	}
	return r.stored(id, out.Item, date(out.ResultMetadata)), nil
}

// Swap implements [Table].
func (r *Rows) Swap(ctx context.Context, old Stored, next Item) (Stored, error) {
	if _, err := next.encode(r.scope, old.ID); err != nil {
		return Stored{ID: old.ID}, err
	}
	in := &dynamodb.PutItemInput{TableName: &r.table, Item: r.attributes(next), ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld}
	switch {
	case !old.Exists:
		in.ConditionExpression = aws.String("attribute_not_exists(#id)")
		in.ExpressionAttributeNames = map[string]string{"#id": idKey}
	case old.Item == nil:
		return Stored{ID: old.ID}, fmt.Errorf("write node id %d over an item that was not read", old.ID)
	default:
		r.unchanged(in, *old.Item)
	}
	out, err := r.client.PutItem(ctx, in)
	if refused, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok {
		return r.stored(old.ID, refused.Item, time.Time{}), fmt.Errorf("%w: %w", ErrChanged, err)
	}
	if err != nil {
		return Stored{ID: old.ID}, r.failed("PutItem", err)
	}
	return Stored{ID: old.ID, Exists: true, Item: &next, Date: date(out.ResultMetadata)}, nil
}

// unchanged is the condition that the item is still the one that was read.
func (r *Rows) unchanged(in *dynamodb.PutItemInput, old Item) {
	in.ConditionExpression = aws.String("#gen = :gen AND #nonce = :nonce AND #hw = :hw AND #slack = :slack AND #state = :state")
	in.ExpressionAttributeNames = map[string]string{
		"#gen": genAttribute, "#nonce": nonceAttribute, "#hw": hwAttribute, "#slack": slackAttribute, "#state": stateAttribute,
	}
	is := r.attributes(old)
	in.ExpressionAttributeValues = map[string]types.AttributeValue{
		":gen": is[genAttribute], ":nonce": is[nonceAttribute], ":hw": is[hwAttribute], ":slack": is[slackAttribute], ":state": is[stateAttribute],
	}
}

// List implements [Table], with the items.
func (r *Rows) List(ctx context.Context, shard int) (found []Stored, err error) {
	pages := dynamodb.NewQueryPaginator(r.client, &dynamodb.QueryInput{
		TableName: &r.table, ConsistentRead: aws.Bool(true),
		KeyConditionExpression:    aws.String("#shard = :shard"),
		ExpressionAttributeNames:  map[string]string{"#shard": shardKey},
		ExpressionAttributeValues: map[string]types.AttributeValue{":shard": r.partition(shard)},
	})
	for n := 0; pages.HasMorePages(); n++ {
		if n == maxPages {
			return nil, fmt.Errorf("%s: shard %d of scope %s has too much in it", r, shard, r.scope)
		}
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, r.failed("Query", err)
		}
		for _, attributes := range page.Items {
			if id, ok := integer(attributes[idKey]); ok && id >= 0 && id <= MaxID && int(id)/rowShard == shard {
				found = append(found, r.stored(int(id), attributes, date(page.ResultMetadata)))
			}
		}
	}
	return found, nil
}

// probeKey is that of no id: no shard has such a name.
func (r *Rows) probeKey() map[string]types.AttributeValue {
	return map[string]types.AttributeValue{shardKey: text(r.scope + "#probe"), idKey: number(0)}
}

// PutProbe implements [Prober].
func (r *Rows) PutProbe(ctx context.Context, stale bool) error {
	in := &dynamodb.PutItemInput{TableName: &r.table, Item: r.probeKey()}
	in.Item["purpose"] = text(probeText)
	in.ConditionExpression = aws.String("attribute_not_exists(#is)")
	in.ExpressionAttributeNames = map[string]string{"#is": idKey}
	if stale {
		in.ConditionExpression = aws.String("#is = :gen")
		in.ExpressionAttributeNames = map[string]string{"#is": genAttribute}
		in.ExpressionAttributeValues = map[string]types.AttributeValue{":gen": number(0)}
	}
	_, err := r.client.PutItem(ctx, in)
	if _, refused := errors.AsType[*types.ConditionalCheckFailedException](err); refused {
		return fmt.Errorf("%w: %w", ErrChanged, err)
	}
	return r.failed("PutItem", err)
}

// GetProbe implements [Prober].
func (r *Rows) GetProbe(ctx context.Context) (time.Time, error) {
	out, err := r.client.GetItem(ctx, &dynamodb.GetItemInput{TableName: &r.table, ConsistentRead: aws.Bool(true), Key: r.probeKey()})
	if err != nil {
		return time.Time{}, r.failed("GetItem", err)
	}
	if len(out.Item) == 0 {
		return time.Time{}, fmt.Errorf("%s has no longer what was written", r)
	}
	return date(out.ResultMetadata), nil
}

// attributes are those of an item.
func (r *Rows) attributes(i Item) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{
		shardKey: r.partition(i.ID / rowShard), idKey: number(i.ID), schemaAttribute: number(i.Schema), scopeAttribute: text(i.Scope),
		genAttribute: number(i.Gen), stateAttribute: text(string(i.State)), ownerAttribute: text(i.Owner), nonceAttribute: text(i.Nonce.String()),
		hwAttribute: number(i.HW), slackAttribute: number(i.Slack), writtenAttribute: text(i.Written.Format(time.RFC3339Nano)),
	}
}

// stored is what the attributes of an id say; none = there is no item.
func (r *Rows) stored(id int, attributes map[string]types.AttributeValue, at time.Time) Stored {
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
func (r *Rows) item(attributes map[string]types.AttributeValue) (i Item, err error) {
	var id, version int64
	var state, nonce, written string
	for name, to := range map[string]*int64{idKey: &id, schemaAttribute: &version, genAttribute: &i.Gen, hwAttribute: &i.HW, slackAttribute: &i.Slack} {
		var ok bool
		if *to, ok = integer(attributes[name]); !ok {
			return Item{}, fmt.Errorf("%w: %s is not a whole number", ErrItem, name)
		}
	}
	for name, to := range map[string]*string{scopeAttribute: &i.Scope, stateAttribute: &state, ownerAttribute: &i.Owner, nonceAttribute: &nonce, writtenAttribute: &written} {
		value, ok := attributes[name].(*types.AttributeValueMemberS)
		if !ok {
			return Item{}, fmt.Errorf("%w: %s is not text", ErrItem, name)
		}
		*to = value.Value
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
func integer(v types.AttributeValue) (int64, bool) {
	n, ok := v.(*types.AttributeValueMemberN)
	if !ok {
		return 0, false
	}
	value, err := strconv.ParseInt(n.Value, 10, 64)
	return value, err == nil
}

// date is the Date of an answer, the zero time where it has none.
func date(metadata middleware.Metadata) time.Time {
	at, _ := awsmiddleware.GetServerTime(metadata)
	return at.UTC()
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
