package query

import (
	"fmt"
	"net/url"
	"strconv"
	"time"
)

// Params reads a query form: nested names are joined with dots, lists are <name>.member.<n>.
type Params struct{ form url.Values }

// Has reports whether the form has the name.
func (p Params) Has(name string) bool { return p.form.Has(name) }

// Get is the value of a name, "" where there is none.
func (p Params) Get(name string) string { return p.form.Get(name) }

// List reads name.member.1, .2 and so on.
func (p Params) List(name string) []string {
	var values []string
	for n := 1; p.Has(Member(name, n)); n++ {
		values = append(values, p.Get(Member(name, n)))
	}
	return values
}

// Member is the name of a list's n-th element, which count from 1.
func Member(name string, n int) string { return fmt.Sprintf("%s.member.%d", name, n) }

// Int reads a number, or otherwise when there is none.
func (p Params) Int(name string, otherwise int) (int, error) {
	if !p.Has(name) {
		return otherwise, nil
	}
	n, err := strconv.Atoi(p.Get(name))
	if err != nil {
		return 0, Invalid(fmt.Sprintf("%s: %q is not a number", name, p.Get(name)))
	}
	return n, nil
}

// Seconds reads a duration; 0 when there is none.
func (p Params) Seconds(name string) (time.Duration, error) {
	n, err := p.Int(name, 0)
	return time.Duration(n) * time.Second, err
}
