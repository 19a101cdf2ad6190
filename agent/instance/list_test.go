package instance

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func TestReadIDs(t *testing.T) {
	const one, two = "i-0123456789abcdef0", "i-01234567"
	for name, c := range map[string]struct {
		text string
		want []string // nil = refused
	}{
		"lines":                 {one + "\n" + two + "\n", []string{one, two}},
		"no last newline":       {one, []string{one}},
		"blanks, CRLF":          {"\r\n  " + one + "\r\n\n\t" + two, []string{one, two}},
		"twice":                 {one + "\n" + two + "\n" + one, []string{one, two}},
		"groups":                {`{"AutoScalingGroups":[{"Instances":[{"InstanceId":"` + one + `","x":{}}]},{"Instances":[{"InstanceId":"` + two + `"}]}],"NextToken":null}`, []string{one, two}},
		"indented":              {"\n  {\n \"AutoScalingGroups\": [ {\"Instances\": [{\"InstanceId\": \"" + one + "\"}]}]}\n", []string{one}},
		"nothing":               {"", nil},
		"blanks":                {" \n", nil},
		"no groups":             {`{"AutoScalingGroups":[]}`, nil},
		"another answer":        {`{"Reservations":[{"Instances":[{"InstanceId":"` + one + `"}]}]}`, nil},
		"cut":                   {`{"AutoScalingGroups":[{"Instances":[{"InstanceId":"` + one + `"}`, nil},
		"two answers":           {`{"AutoScalingGroups":[{"Instances":[{"InstanceId":"` + one + `"}]}]}{}`, nil},
		"without an id":         {`{"AutoScalingGroups":[{"Instances":[{}]}]}`, nil},
		"a list":                {`["` + one + `"]`, nil},
		"upper case":            {"i-0123456789ABCDEF0", nil},
		"an AMI":                {"ami-0123456789abcdef0", nil},
		"a path":                {one + "\n../../etc/passwd\n", nil},
		"an escape":             {"i-\x1b[31m", nil},
		"too long":              {"i-0123456789abcdef01", nil},
		"NUL":                   {one + "\x00" + two, nil},
		"as large as it may be": {one + strings.Repeat("\n", MaxList-len(one)), []string{one}},
		"larger":                {one + strings.Repeat("\n", MaxList-len(one)+1), nil},
	} {
		got, err := ReadIDs(strings.NewReader(c.text))
		if (err != nil) != (c.want == nil) || err == nil && !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q and %v, want %q", name, got, err, c.want)
		}
	}
	broken := errors.New("broken")
	if _, err := ReadIDs(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("got %v, want the reader's", err)
	}
}
