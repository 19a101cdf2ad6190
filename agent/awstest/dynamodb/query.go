package dynamodb

import (
	"slices"

	"koboshi/agent/awstest/jsonrpc"
)

// maxPage is how many bytes of items one answer of Query has at most.
const maxPage = 1 << 20

type queryInput struct {
	TableName                 string
	KeyConditionExpression    *string
	ExpressionAttributeNames  map[string]string
	ExpressionAttributeValues map[string]Value
	ConsistentRead            bool
	ScanIndexForward          *bool
	Limit                     *int
	ExclusiveStartKey         Item
	ReturnConsumedCapacity    string
}

// query answers the items of one partition in the order of their sort keys.
func (s *Store) query(r jsonrpc.Request) (any, error) {
	var in queryInput
	if err := into(r, &in); err != nil {
		return nil, err
	}
	t, err := s.find(r, in.TableName)
	if err != nil {
		return nil, err
	}
	if in.Limit != nil && *in.Limit < 1 {
		return nil, invalid("1 validation error detected: Value '%d' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1", *in.Limit)
	}
	found, err := s.partition(t, in)
	if err != nil {
		return nil, err
	}
	page, size := firstPage(found, in.Limit)
	out := map[string]any{"Items": page, "Count": len(page), "ScannedCount": len(page)}
	if len(page) < len(found) || in.Limit != nil && len(page) == *in.Limit {
		out["LastEvaluatedKey"] = t.key(page[len(page)-1])
	}
	return out, consumed(out, t, in.ReturnConsumedCapacity, readUnits(size, in.ConsistentRead))
}

// partition is what the key condition chooses, in order, after the start key.
func (s *Store) partition(t *table, in queryInput) ([]Item, error) {
	partition, tests, err := t.keyCondition(in)
	if err != nil {
		return nil, err
	}
	backward := in.ScanIndexForward != nil && !*in.ScanIndexForward
	order := func(a, b Value) int {
		if backward {
			a, b = b, a
		}
		return compare(a, b)
	}
	start, err := t.start(in, partition)
	if err != nil {
		return nil, err
	}
	var found []Item
	for sort, there := range t.items[partition] {
		item := t.seen(there, in.ConsistentRead, s.now())
		if item == nil || start != nil && order(sort, *start) <= 0 || slices.ContainsFunc(tests, func(t test) bool { return !t.holds(item) }) {
			continue
		}
		found = append(found, item)
	}
	slices.SortFunc(found, func(a, b Item) int { return order(a[t.sort.Name], b[t.sort.Name]) })
	return found, nil
}

// keyCondition reads "partition key = value", and no more than "AND sort key = value".
func (t *table) keyCondition(in queryInput) (partition Value, tests []test, err error) {
	if in.KeyConditionExpression == nil {
		return partition, nil, invalid("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
	}
	p := newPlaceholders(in.ExpressionAttributeNames, in.ExpressionAttributeValues)
	if tests, err = p.condition("KeyConditionExpression", *in.KeyConditionExpression); err != nil {
		return partition, nil, err
	}
	seen := map[string]bool{}
	for _, term := range tests {
		key := map[string]Key{t.partition.Name: t.partition, t.sort.Name: t.sort}[term.name]
		switch {
		case term.op != "=":
			return partition, nil, invalid("Invalid operator used in KeyConditionExpression: attribute_%s", term.op)
		case key.Name == "" || seen[key.Name]:
			return partition, nil, invalid("Query key condition not supported")
		case term.want.Type != key.Type:
			return partition, nil, invalid("One or more parameter values were invalid: Condition parameter type does not match schema type")
		case key == t.partition:
			partition = term.want
		}
		seen[key.Name] = true
	}
	if !seen[t.partition.Name] {
		return partition, nil, invalid("Query condition missed key schema element: %s", t.partition.Name)
	}
	return partition, tests, p.checkUsed()
}

// start is the sort key that a query goes on after, nil at its beginning.
func (t *table) start(in queryInput, partition Value) (*Value, error) {
	if in.ExclusiveStartKey == nil {
		return nil, nil
	}
	of, sort, err := t.keyOf(in.ExclusiveStartKey, true)
	if err != nil || of != partition {
		return nil, invalid("The provided starting key is outside query boundaries based on provided conditions")
	}
	return &sort, nil
}

// firstPage is as much as one answer has, and how many bytes that is.
func firstPage(items []Item, limit *int) (page []Item, size int) {
	page = []Item{}
	for _, item := range items {
		if limit != nil && len(page) == *limit || len(page) > 0 && size+item.size() > maxPage {
			break
		}
		page, size = append(page, item), size+item.size()
	}
	return page, size
}

// key is the primary key of an item.
func (t *table) key(i Item) Item {
	key := Item{t.partition.Name: i[t.partition.Name]}
	if t.sort.Name != "" {
		key[t.sort.Name] = i[t.sort.Name]
	}
	return key
}
