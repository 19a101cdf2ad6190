package config

import (
	"encoding"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Origin is where a value came from; the zero Origin is the default.
type Origin struct {
	File string
	Line int
	Tag  string
}

func (o Origin) String() string {
	switch {
	case o.Tag != "":
		return "tag " + o.Tag
	case o.File == "":
		return "default"
	case o.Line == 0:
		return o.File
	}
	return fmt.Sprintf("%s:%d", o.File, o.Line)
}

// Setting is one effective value, spelled as TOML, with its origin.
type Setting struct {
	Key, Value string
	Origin     Origin
}

// Settings lists every effective value, in the order of the keys' tables.
func (c *Config) Settings() []Setting {
	var out []Setting
	c.walk("", reflect.ValueOf(*c), &out)
	return out
}

func (c *Config) walk(prefix string, v reflect.Value, out *[]Setting) {
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag.Get("toml")
		if tag == "" || tag == "-" {
			continue
		}
		field := v.Field(i)
		key := prefix + tag
		switch flushes, ok := field.Interface().(map[string]Flush); {
		case ok:
			for _, name := range slices.Sorted(maps.Keys(flushes)) {
				c.walkFlush(key+"."+name+".", flushes[name], out)
			}
		case field.Kind() == reflect.Struct && !isText(field):
			c.walk(key+".", field, out)
		default:
			*out = append(*out, Setting{Key: key, Value: spell(field), Origin: c.origins[key]})
		}
	}
}

// walkFlush lists the keys that this kind of flush takes.
func (c *Config) walkFlush(prefix string, f Flush, out *[]Setting) {
	var all []Setting
	c.walk(prefix, reflect.ValueOf(f), &all)
	takes := f.keys()
	for _, s := range all {
		if slices.Contains(takes, strings.TrimPrefix(s.Key, prefix)) {
			*out = append(*out, s)
		}
	}
}

// isText reports whether a file has the value as a text.
func isText(v reflect.Value) bool {
	_, ok := v.Interface().(encoding.TextMarshaler)
	return ok
}

// spell writes a value as TOML does.
func spell(v reflect.Value) string {
	if text, ok := v.Interface().(encoding.TextMarshaler); ok {
		if b, err := text.MarshalText(); err == nil {
			return strconv.Quote(string(b))
		}
	}
	switch v.Kind() {
	case reflect.String:
		return strconv.Quote(v.String())
	case reflect.Slice, reflect.Array:
		items := make([]string, v.Len())
		for i := range items {
			items[i] = spell(v.Index(i))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case reflect.Map:
		var items []string
		for key, value := range v.Seq2() {
			items = append(items, fmt.Sprintf("%s = %s", key, spell(value)))
		}
		slices.Sort(items)
		return "{" + strings.Join(items, ", ") + "}"
	}
	return fmt.Sprint(v.Interface())
}
