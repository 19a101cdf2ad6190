package prune

import (
	"strings"

	"koboshi/artifacts"
)

const (
	releasesPrefix = "releases/"
	manifestName   = "manifest.json"
)

// split takes the key of an object of a release apart.
func split(key string) (version, name string, ok bool) {
	version, name, ok = strings.Cut(strings.TrimPrefix(key, releasesPrefix), "/")
	return version, name, ok && artifacts.CheckVersion(version) == nil
}

// ours reports whether publish gives such names: APP-OS-ARCH-HASH with or without an
// extension, or APP-OS-ARCH-from-BASE-HASH.delta.
func ours(app, name string) bool {
	rest, ok := strings.CutPrefix(name, app+"-")
	if !ok {
		return false
	}
	if stem, isDelta := strings.CutSuffix(rest, ".delta"); isDelta {
		at := strings.LastIndexByte(stem, '-')
		platform, base, made := strings.Cut(stem[:max(at, 0)], "-from-")
		return made && isPlatform(platform) && artifacts.CheckVersion(base) == nil && artifacts.IsShort(stem[at+1:])
	}
	stem, ext, dotted := strings.Cut(rest, ".")
	at := strings.LastIndexByte(stem, '-')
	return at > 0 && isPlatform(stem[:at]) && artifacts.IsShort(stem[at+1:]) && (!dotted || isExtension(ext))
}

func isPlatform(s string) bool {
	os, arch, ok := strings.Cut(s, "-")
	return ok && artifacts.CheckName(os) == nil && artifacts.CheckName(arch) == nil
}

func isExtension(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789.-") == ""
}
