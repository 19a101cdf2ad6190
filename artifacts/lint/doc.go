// Package lint finds what an instance would stumble over in a tree, before it is
// published: all of it in one run, each finding with what to do about it.
//
// A finding is an error where every instance would refuse the tree, and a
// warning where the app may work and probably will not, or where something is
// published that was not meant to be. What a tree may be is decided by package
// tree, whose reasons are passed on here.
//
// Files are looked at by name, mode and first bytes: at most [maxHead] of those
// that could be scripts, keys or compiled Python.
package lint
