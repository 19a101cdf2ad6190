package lint

import (
	"path"
	"slices"
	"strings"
)

// secretName reports whether a file is one that holds secrets by convention.
// Templates of them hold none.
func secretName(name, whole string) bool {
	if ending, env := strings.CutPrefix(name, ".env"); env {
		return ending == "" || ending[0] == '.' && !slices.Contains([]string{".example", ".sample", ".template", ".dist", ".defaults"}, path.Ext(name))
	}
	switch name {
	case ".netrc", ".pgpass", ".pypirc", ".htpasswd", "master.key":
		return true
	case "credentials":
		return path.Base(path.Dir(whole)) == ".aws"
	}
	return slices.Contains([]string{".p12", ".pfx"}, path.Ext(name))
}

// keyName reports whether a file may hold a private key: it is looked into.
func keyName(name string) bool {
	return slices.Contains([]string{".pem", ".key"}, path.Ext(name)) || strings.HasPrefix(name, "id_")
}
