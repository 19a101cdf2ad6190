package dynamodb

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// placeholders are what the expressions of one request refer to.
type placeholders struct {
	names  map[string]string // by #placeholder
	values map[string]Value  // by :placeholder
	used   map[string]bool
}

func newPlaceholders(names map[string]string, values map[string]Value) *placeholders {
	return &placeholders{names, values, map[string]bool{}}
}

// checkUsed refuses placeholders that no expression has used.
func (p *placeholders) checkUsed() error {
	for _, name := range slices.Sorted(maps.Keys(p.names)) {
		if !p.used[name] {
			return invalid("Value provided in ExpressionAttributeNames unused in expressions: keys: {%s}", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.values)) {
		if !p.used[name] {
			return invalid("Value provided in ExpressionAttributeValues unused in expressions: keys: {%s}", name)
		}
	}
	return nil
}

// parser reads one expression.
type parser struct {
	*placeholders
	kind   string // such as ConditionExpression
	tokens []string
}

var token = regexp.MustCompile(`[#:]?[A-Za-z0-9_]+|<>|<=|>=|[^\s]`)

func (p *placeholders) parse(kind, expression string) (*parser, error) {
	tokens := token.FindAllString(expression, -1)
	if len(tokens) == 0 {
		return nil, invalid("Invalid %s: The expression can not be empty;", kind)
	}
	return &parser{p, kind, tokens}, nil
}

// peek is the token that is next, "" at the end.
func (p *parser) peek() string {
	if len(p.tokens) == 0 {
		return ""
	}
	return p.tokens[0]
}

func (p *parser) next() string {
	t := p.peek()
	if t != "" {
		p.tokens = p.tokens[1:]
	}
	return t
}

// is reports whether a keyword is next, and takes it.
func (p *parser) is(keyword string) bool {
	if !strings.EqualFold(p.peek(), keyword) {
		return false
	}
	p.next()
	return true
}

// expect takes one symbol.
func (p *parser) expect(symbol string) error {
	if t := p.peek(); t != symbol {
		return p.refuse(t)
	}
	p.next()
	return nil
}

// refuse is the error for a token that cannot stand here: what the service knows is not
// supported, the rest is a syntax error.
func (p *parser) refuse(t string) error {
	switch strings.ToUpper(t) {
	case "OR", "NOT", "IN", "BETWEEN", "<>", "<", "<=", ">", ">=", "(", "+", "-", ".", "[", "REMOVE", "ADD", "DELETE":
		return unsupported("%s in a %s", t, p.kind)
	case "":
		return invalid("Invalid %s: Syntax error; token: <EOF>", p.kind)
	}
	if p.peek() != t && p.peek() == "(" {
		return unsupported("the function %s in a %s", t, p.kind)
	}
	return invalid("Invalid %s: Syntax error; token: %q", p.kind, t)
}

// name takes #placeholder.
func (p *parser) name() (string, error) {
	t := p.next()
	if !strings.HasPrefix(t, "#") {
		if p.peek() != "(" && regexp.MustCompile(`^[A-Za-z]`).MatchString(t) && !strings.EqualFold(t, "NOT") {
			return "", unsupported("the name %s itself in a %s, which may be a reserved word: use ExpressionAttributeNames", t, p.kind)
		}
		return "", p.refuse(t)
	}
	name, found := p.names[t]
	if !found {
		return "", invalid("Invalid %s: An expression attribute name used in the document path is not defined; attribute name: %s", p.kind, t)
	}
	p.used[t] = true
	return name, nil
}

// value takes :placeholder.
func (p *parser) value() (Value, error) {
	t := p.next()
	if strings.HasPrefix(t, "#") {
		return Value{}, unsupported("the name %s as an operand in a %s", t, p.kind)
	}
	if !strings.HasPrefix(t, ":") {
		return Value{}, p.refuse(t)
	}
	value, found := p.values[t]
	if !found {
		return Value{}, invalid("Invalid %s: An expression attribute value used in expression is not defined; attribute value: %s", p.kind, t)
	}
	p.used[t] = true
	return value, nil
}

// test is one term of a condition: the attribute exists, does not, or has a value.
type test struct {
	name string
	op   string // "exists", "absent", "="
	want Value  // with "="
}

func (t test) holds(i Item) bool {
	value, found := i[t.name]
	switch t.op {
	case "exists":
		return found
	case "absent":
		return !found
	}
	return found && value == t.want
}

// condition reads terms with AND between them.
func (p *placeholders) condition(kind, expression string) (all []test, err error) {
	in, err := p.parse(kind, expression)
	if err != nil {
		return nil, err
	}
	for {
		term, err := in.term()
		if err != nil {
			return nil, err
		}
		all = append(all, term)
		if in.peek() == "" {
			return all, nil
		}
		if !in.is("AND") {
			return nil, in.refuse(in.peek())
		}
	}
}

func (p *parser) term() (t test, err error) {
	for function, op := range map[string]string{"attribute_exists": "exists", "attribute_not_exists": "absent"} {
		if p.peek() == function {
			p.next()
			return p.existence(op)
		}
	}
	t.op = "="
	if t.name, err = p.name(); err != nil {
		return t, err
	}
	if err := p.expect("="); err != nil {
		return t, err
	}
	t.want, err = p.value()
	return t, err
}

func (p *parser) existence(op string) (test, error) {
	if err := p.expect("("); err != nil {
		return test{}, err
	}
	name, err := p.name()
	if err != nil {
		return test{}, err
	}
	return test{name: name, op: op}, p.expect(")")
}

// update reads SET with assignments of values.
func (p *placeholders) update(expression string) (Item, error) {
	in, err := p.parse("UpdateExpression", expression)
	if err != nil {
		return nil, err
	}
	if !in.is("SET") {
		return nil, in.refuse(in.peek())
	}
	set := Item{}
	for {
		name, err := in.name()
		if err != nil {
			return nil, err
		}
		if _, twice := set[name]; twice {
			return nil, invalid("Invalid UpdateExpression: Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [%s], path two: [%s]", name, name)
		}
		if err := in.expect("="); err != nil {
			return nil, err
		}
		if set[name], err = in.value(); err != nil {
			return nil, err
		}
		if in.peek() == "" {
			return set, nil
		}
		if err := in.expect(","); err != nil {
			return nil, err
		}
	}
}
