// Package install puts koboshi, its units and its directories into a machine's
// root file system, and takes them out again. The root may be this machine's
// own or that of an image which is being made.
//
// Both are idempotent: they change only what is not as it should be, and return
// these changes, each under its absolute path on the machine. Nothing outside of
// the root is touched, wherever links in it lead. Nothing is started or stopped.
//
// Where a package (deb, rpm) has brought binary and units, only the rest is done.
package install
