package doctor

import (
	"io/fs"
	"testing"
)

// mountFlags are the places that exist.
type mountFlags map[string]Place

func (m mountFlags) Place(path string) (Place, error) {
	p, ok := m[path]
	if !ok {
		return p, fs.ErrNotExist
	}
	return p, nil
}

func TestPlaceOf(t *testing.T) {
	some := mountFlags{"/": {}, "/ro": {ReadOnly: true, Changeable: "every user"}, "/ro/web": {Changeable: "every user"}}
	for path, want := range map[string]Place{
		"/ro/web":  {Changeable: "every user"},
		"/ro/a/b":  {ReadOnly: true}, // that of the one above
		"/opt/web": {},
	} {
		if got, err := placeOf(some, path); err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", path, got, err, want)
		}
	}
	if _, err := placeOf(mountFlags{}, "/a"); err == nil {
		t.Error("no place at all: no error")
	}
}
