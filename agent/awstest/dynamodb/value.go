package dynamodb

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"regexp"
	"strconv"
	"strings"
)

// Value is one scalar. Type is S, N, B, BOOL or NULL; Text is the string, the number in
// its shortest form, the bytes, "true" or "false". Equal values are ==.
type Value struct{ Type, Text string }

// Text is a value of type S.
func Text(s string) Value { return Value{"S", s} }

// Number is a value of type N.
func Number(n int64) Value { return Value{"N", strconv.FormatInt(n, 10)} }

// MarshalJSON writes {"S":"text"}.
func (v Value) MarshalJSON() ([]byte, error) {
	switch v.Type {
	case "BOOL", "NULL":
		return json.Marshal(map[string]bool{v.Type: v.Text == "true"})
	case "B":
		return json.Marshal(map[string][]byte{v.Type: []byte(v.Text)})
	}
	return json.Marshal(map[string]string{v.Type: v.Text})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (v *Value) UnmarshalJSON(text []byte) error {
	var member map[string]any
	if err := json.Unmarshal(text, &member); err != nil {
		return err
	}
	if len(member) != 1 {
		return invalid("Supplied AttributeValue has %d datatypes set, must contain exactly one of the supported datatypes", len(member))
	}
	for kind, content := range member {
		read, err := scalar(kind, content)
		if err != nil {
			return err
		}
		*v = read
	}
	return nil
}

// scalar is the value of one member of an AttributeValue.
func scalar(kind string, content any) (Value, error) {
	text, isText := content.(string)
	boolean, isBoolean := content.(bool)
	switch {
	case kind == "S" && isText:
		return Value{kind, text}, nil
	case kind == "N" && isText:
		number, err := shortest(text)
		return Value{kind, number}, err
	case kind == "B" && isText:
		data, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return Value{}, invalid("a value of type B is no base64: %v", err)
		}
		return Value{kind, string(data)}, nil
	case kind == "BOOL" && isBoolean, kind == "NULL" && boolean:
		return Value{kind, strconv.FormatBool(boolean)}, nil
	case kind == "L" || kind == "M" || kind == "SS" || kind == "NS" || kind == "BS":
		return Value{}, unsupported("a value of type %s", kind)
	}
	return Value{}, invalid("Supplied AttributeValue is empty or of another type, must contain exactly one of the supported datatypes: %s", kind)
}

var numberOf = regexp.MustCompile(`^[+-]?([0-9]+)(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?$`)

// maxDigits are the significant digits that a number may have.
const maxDigits = 38

// shortest is a number without zeros that say nothing: 7 for 007.0.
func shortest(text string) (string, error) {
	if len(text) > 200 || !numberOf.MatchString(text) {
		return "", invalid("The parameter cannot be converted to a numeric value: %.50s", text)
	}
	number, ok := new(big.Rat).SetString(text)
	if !ok {
		return "", invalid("The parameter cannot be converted to a numeric value: %.50s", text)
	}
	plain := number.FloatString(130)
	plain = strings.TrimSuffix(strings.TrimRight(plain, "0"), ".")
	digits := strings.Trim(strings.NewReplacer("-", "", ".", "").Replace(plain), "0")
	if len(digits) > maxDigits {
		return "", invalid("Attempting to store more than 38 significant digits in a Number")
	}
	if new(big.Rat).Abs(number).Cmp(tooLarge) >= 0 {
		return "", invalid("Number overflow. Attempting to store a number with magnitude larger than supported range")
	}
	return plain, nil
}

// tooLarge is the first number above the range, which ends at 9.99…E+125.
var tooLarge = new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(126), nil))

// compare orders two values of one type as a sort key is ordered.
func compare(a, b Value) int {
	if a.Type != "N" {
		return cmp.Compare(a.Text, b.Text)
	}
	left, _ := new(big.Rat).SetString(a.Text)
	right, _ := new(big.Rat).SetString(b.Text)
	return left.Cmp(right)
}

// Item is an item: its attributes by name.
type Item map[string]Value

// size is what an item counts as, in bytes.
func (i Item) size() (n int) {
	for name, value := range i {
		n += len(name)
		switch value.Type {
		case "N":
			n += (len(value.Text)+1)/2 + 1
		case "BOOL", "NULL":
			n++
		default:
			n += len(value.Text)
		}
	}
	return n
}
