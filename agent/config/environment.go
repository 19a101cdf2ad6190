package config

import (
	"errors"
	"fmt"
	"strings"
)

// Variable is one assignment of an environment file.
type Variable struct{ Name, Value string }

// ParseEnvironment reads what systemd reads from an EnvironmentFile=: NAME=value
// lines, where a line that begins with # or ; is a comment, a value may be quoted,
// and nothing is expanded. A shell's "export NAME=value" is understood, too. A
// line that systemd would skip with a warning is an error; every error is an
// [*Error], which never quotes a value.
func ParseEnvironment(f File) (all []Variable, err error) {
	for i, line := range strings.Split(string(f.Data), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
			continue
		}
		v, err := assignment(line)
		if err != nil {
			return nil, &Error{File: f.Name, Line: i + 1, Err: err, Hint: "write NAME=value, in quotes where the value has any; nothing is expanded, and no command runs"}
		}
		all = append(all, v)
	}
	return all, nil
}

func assignment(line string) (v Variable, err error) {
	if rest, ok := strings.CutPrefix(line, "export"); ok && strings.TrimLeft(rest, " \t") != rest {
		line = strings.TrimLeft(rest, " \t")
	}
	name, value, found := strings.Cut(line, "=")
	if !found || !isVariable(name) {
		return v, errors.New("no assignment")
	}
	if v.Value, err = unquote(strings.TrimSpace(value)); err != nil {
		return v, fmt.Errorf("%s: %w", name, err)
	}
	v.Name = name
	return v, nil
}

// isVariable reports whether name is one that a shell could set.
func isVariable(name string) bool {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"
	return name != "" && strings.Trim(name, letters+"0123456789") == "" && strings.Contains(letters, name[:1])
}

// unquote takes quotes and backslashes as systemd does.
func unquote(text string) (string, error) {
	var value strings.Builder
	quote := byte(0)
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == 0:
			return "", errors.New("has a NUL byte")
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case quote != '\'' && c == '\\':
			i++
			if i == len(text) {
				return "", errors.New("a value must end on its line")
			}
			if quote == '"' && !strings.ContainsRune("\"\\`$", rune(text[i])) {
				value.WriteByte(c)
			}
			value.WriteByte(text[i])
		default:
			value.WriteByte(c)
		}
	}
	if quote != 0 {
		return "", errors.New("a quote is not closed")
	}
	return value.String(), nil
}
