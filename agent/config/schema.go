package config

import (
	"reflect"
	"strings"

	"koboshi/artifacts"
)

// schema is every key that a file may have, dotted, with the type of its value.
// A table that maps free names ends in ".*".
func schema() map[string]reflect.Type {
	keys := map[string]reflect.Type{}
	collect(keys, "", reflect.TypeFor[Config]())
	return keys
}

func collect(keys map[string]reflect.Type, prefix string, t reflect.Type) {
	for i := range t.NumField() {
		field := t.Field(i)
		tag := field.Tag.Get("toml")
		if tag == "" || tag == "-" {
			continue
		}
		name := prefix + tag
		keys[name] = field.Type
		switch field.Type.Kind() {
		case reflect.Struct:
			collect(keys, name+".", field.Type)
		case reflect.Map:
			keys[name+".*"] = field.Type.Elem()
		}
	}
}

// known reports whether a file may have the key. Case matters: the TOML library
// would accept "App" as "app".
func known(name string) bool {
	keys := schema()
	if _, ok := keys[name]; ok {
		return true
	}
	table, _, ok := cutLast(name, ".")
	_, free := keys[table+".*"]
	return ok && free
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// nearest finds the key that was probably meant: one that is at most three edits
// away, or has the same last part in another table.
func nearest(name string, keys []string) (string, bool) {
	best, distance := "", 4
	for _, key := range keys {
		d := artifacts.Edits(strings.ToLower(name), key)
		if lastPart(key) == lastPart(name) {
			d = min(d, 1)
		}
		if d < distance {
			best, distance = key, d
		}
	}
	return best, best != ""
}

func lastPart(key string) string { return key[strings.LastIndex(key, ".")+1:] }
