// Package mounts mounts the images of releases: by PID 1 where that is systemd, as
// the agent's own unit may not, else by mount(2) where this process may.
//
// It never decides which image, and verifies nothing.
package mounts
