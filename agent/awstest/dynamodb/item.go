package dynamodb

import (
	"maps"
	"slices"
	"time"

	"koboshi/agent/awstest/jsonrpc"
)

const (
	// maxItem is the size of the largest item, in bytes.
	maxItem = 400 << 10
	// staleFor is how long after a write a read that is not consistent shows what was
	// before. It may on AWS; here it always does.
	staleFor = time.Second
)

// stored is an item in its table. Items are never changed, only replaced.
type stored struct {
	item    Item
	before  Item // nil: there was none
	changed time.Time
}

// seen is the item as a read sees it, nil where there is none.
func (t *table) seen(s stored, consistent bool, now time.Time) Item {
	if !consistent && now.Sub(s.changed) < staleFor {
		return s.before
	}
	return s.item
}

// keyOf takes the key out of an item; others are refused where only a key may stand.
func (t *table) keyOf(i Item, only bool) (partition, sort Value, err error) {
	want := 1
	if t.sort.Name != "" {
		want = 2
	}
	if only && len(i) != want {
		return partition, sort, invalid("The provided key element does not match the schema")
	}
	if partition, err = t.partition.of(i, only); err != nil || want == 1 {
		return partition, sort, err
	}
	sort, err = t.sort.of(i, only)
	return partition, sort, err
}

// of is the value that an item has for one key.
func (k Key) of(i Item, only bool) (Value, error) {
	value, found := i[k.Name]
	switch {
	case only && (!found || value.Type != k.Type):
		return value, invalid("The provided key element does not match the schema")
	case !found:
		return value, invalid("One or more parameter values were invalid: Missing the key %s in the item", k.Name)
	case value.Type != k.Type:
		return value, invalid("One or more parameter values were invalid: Type mismatch for key %s expected: %s actual: %s", k.Name, k.Type, value.Type)
	case value.Text == "":
		return value, invalid("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: %s", k.Name)
	}
	return value, nil
}

// put replaces an item.
func (t *table) put(i Item, now time.Time) error {
	partition, sort, err := t.keyOf(i, false)
	if err != nil {
		return err
	}
	if i.size() > maxItem {
		return invalid("Item size has exceeded the maximum allowed size")
	}
	if t.items[partition] == nil {
		t.items[partition] = map[Value]stored{}
	}
	t.items[partition][sort] = stored{item: i, before: t.items[partition][sort].item, changed: now}
	return nil
}

// Item is an item of a table as it is now, nil where there is none.
func (s *Store) Item(region, name string, partition, sort Value) Item {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tables[place{region, name}]
	if t == nil {
		return nil
	}
	return maps.Clone(t.items[partition][sort].item)
}

// PutItem replaces an item by hand, without a condition.
func (s *Store) PutItem(region, name string, i Item) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tables[place{region, name}]
	if t == nil {
		return errNoTable
	}
	return t.put(maps.Clone(i), s.now())
}

// DeleteItem removes an item by hand.
func (s *Store) DeleteItem(region, name string, partition, sort Value) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.tables[place{region, name}]; t != nil {
		delete(t.items[partition], sort)
	}
}

func (s *Store) getItem(r jsonrpc.Request) (any, error) {
	var in struct {
		TableName              string
		Key                    Item
		ConsistentRead         bool
		ReturnConsumedCapacity string
	}
	if err := into(r, &in); err != nil {
		return nil, err
	}
	t, err := s.find(r, in.TableName)
	if err != nil {
		return nil, err
	}
	partition, sort, err := t.keyOf(in.Key, true)
	if err != nil {
		return nil, err
	}
	out := map[string]any{}
	item := t.seen(t.items[partition][sort], in.ConsistentRead, s.now())
	if item != nil {
		out["Item"] = item
	}
	return out, consumed(out, t, in.ReturnConsumedCapacity, readUnits(item.size(), in.ConsistentRead))
}

// conditional is what PutItem and UpdateItem have in common.
type conditional struct {
	TableName                           string
	ConditionExpression                 *string
	ExpressionAttributeNames            map[string]string
	ExpressionAttributeValues           map[string]Value
	ReturnValues                        string
	ReturnValuesOnConditionCheckFailure string
	ReturnConsumedCapacity              string
}

// check evaluates the condition against the item that is there.
func (c *conditional) check(p *placeholders, there Item) error {
	if c.ConditionExpression == nil {
		return p.checkUsed()
	}
	all, err := p.condition("ConditionExpression", *c.ConditionExpression)
	if err == nil {
		err = p.checkUsed()
	}
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(all, func(t test) bool { return !t.holds(there) }) {
		return nil
	}
	failed := &jsonrpc.Error{Code: "ConditionalCheckFailedException", Message: "The conditional request failed"}
	switch c.ReturnValuesOnConditionCheckFailure {
	case "", "NONE":
	case "ALL_OLD":
		if there != nil {
			failed.Fields = map[string]any{"Item": there}
		}
	default:
		return invalid("ReturnValuesOnConditionCheckFailure %q, want ALL_OLD or NONE", c.ReturnValuesOnConditionCheckFailure)
	}
	return failed
}

// answer is that of a write which took effect.
func (c *conditional) answer(t *table, before, after Item) (any, error) {
	out := map[string]any{}
	switch {
	case c.ReturnValues == "ALL_OLD" && before != nil:
		out["Attributes"] = before
	case c.ReturnValues == "ALL_NEW":
		out["Attributes"] = after
	}
	return out, consumed(out, t, c.ReturnConsumedCapacity, writeUnits(max(before.size(), after.size())))
}

func (s *Store) putItem(r jsonrpc.Request) (any, error) {
	var in struct {
		conditional
		Item Item
	}
	if err := into(r, &in); err != nil {
		return nil, err
	}
	t, err := s.find(r, in.TableName)
	if err != nil {
		return nil, err
	}
	if !slices.Contains([]string{"", "NONE", "ALL_OLD"}, in.ReturnValues) {
		return nil, invalid("ReturnValues can only be ALL_OLD or NONE")
	}
	partition, sort, err := t.keyOf(in.Item, false)
	if err != nil {
		return nil, err
	}
	before := t.items[partition][sort].item
	if err := in.check(newPlaceholders(in.ExpressionAttributeNames, in.ExpressionAttributeValues), before); err != nil {
		return nil, err
	}
	if err := t.put(in.Item, s.now()); err != nil {
		return nil, err
	}
	return in.answer(t, before, in.Item)
}

// updateItem makes the item where there is none, as the service does.
func (s *Store) updateItem(r jsonrpc.Request) (any, error) {
	var in struct {
		conditional
		Key              Item
		UpdateExpression *string
	}
	if err := into(r, &in); err != nil {
		return nil, err
	}
	t, err := s.find(r, in.TableName)
	if err != nil {
		return nil, err
	}
	switch in.ReturnValues {
	case "", "NONE", "ALL_OLD", "ALL_NEW":
	default:
		return nil, unsupported("ReturnValues %s", in.ReturnValues)
	}
	partition, sort, err := t.keyOf(in.Key, true)
	if err != nil {
		return nil, err
	}
	before := t.items[partition][sort].item
	after := maps.Clone(in.Key)
	maps.Copy(after, before)
	p := newPlaceholders(in.ExpressionAttributeNames, in.ExpressionAttributeValues)
	if in.UpdateExpression != nil {
		set, err := p.update(*in.UpdateExpression)
		if err != nil {
			return nil, err
		}
		for name := range in.Key {
			if _, ofKey := set[name]; ofKey {
				return nil, invalid("One or more parameter values were invalid: Cannot update attribute %s. This attribute is part of the key", name)
			}
		}
		maps.Copy(after, set)
	}
	if err := in.check(p, before); err != nil {
		return nil, err
	}
	if err := t.put(after, s.now()); err != nil {
		return nil, err
	}
	return in.answer(t, before, after)
}
