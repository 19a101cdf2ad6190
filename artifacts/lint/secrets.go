package lint

import (
	"path"
	"slices"
	"strings"
)

// secretName reports whether a file is one that has secrets by convention. Templates
// of such files have none.
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

// keyName reports whether a file may contain a private key, so that it is read.
func keyName(name string) bool {
	return slices.Contains([]string{".pem", ".key"}, path.Ext(name)) || strings.HasPrefix(name, "id_")
}
