package config

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"koboshi/artifacts"
)

// free stands in the schema for a part of a key that may have any name.
const free = "*"

// schema is every key that a file may have, dotted, with the type of its value.
func schema() map[string]reflect.Type {
	keys := map[string]reflect.Type{}
	collect(keys, "", reflect.TypeFor[Config]())
	return keys
}

func collect(keys map[string]reflect.Type, prefix string, t reflect.Type) {
	for field := range t.Fields() {
		tag := field.Tag.Get("toml")
		if tag == "" || tag == "-" {
			continue
		}
		name, value := prefix+tag, field.Type
		keys[name] = value
		if value.Kind() == reflect.Map {
			name, value = name+"."+free, value.Elem()
			keys[name] = value
		}
		if value.Kind() == reflect.Struct {
			collect(keys, name+".", value)
		}
	}
}

// known reports whether a file may have the key. Case matters: the TOML library
// would accept "App" as "app".
func known(name string) bool { return slices.Contains(keysLike(name), name) }

// keysLike are the keys of the schema, in order, with the free names that name has.
func keysLike(name string) []string {
	parts := strings.Split(name, ".")
	var keys []string
	for _, key := range slices.Sorted(maps.Keys(schema())) {
		own := strings.Split(key, ".")
		for i := range own {
			if own[i] == free && i < len(parts) && !strings.Contains(parts[i], `"`) {
				own[i] = parts[i]
			}
		}
		keys = append(keys, strings.Join(own, "."))
	}
	return keys
}

// nearest finds the key that was probably meant: one that is at most three edits
// away, or those that have the same last part in other tables.
func nearest(name string, keys []string) (best []string) {
	distance := 4
	for _, key := range keys {
		same := lastPart(key) == lastPart(name)
		d := artifacts.Edits(strings.ToLower(name), key)
		if same {
			d = min(d, 1)
		}
		switch {
		case d < distance:
			best, distance = []string{key}, d
		case d == distance && same && !strings.Contains(key, free):
			best = append(best, key)
		}
	}
	return best
}

func lastPart(key string) string { return key[strings.LastIndex(key, ".")+1:] }
