// Package config turns defaults, files, tags and flags into the one effective
// configuration of an agent, each value with where it came from.
//
// Later beats earlier: defaults, then /etc/koboshi/koboshi.toml, then the
// drop-ins in name order, then instance tags, then flags. Files are trusted and
// read strictly: an unknown key, a wrong type or an impossible combination is an
// error that names the file, the line and the nearest valid key. Tags are not
// trusted: they choose among what the files allow, and a value that the files do
// not allow is ignored with a warning.
//
// The package is pure: it opens no file, asks no network and reads no clock.
package config
