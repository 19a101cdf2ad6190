// Package mounts mounts the images of releases: by PID 1 where that is systemd, as
// the agent's own unit may not, else by mount(2) where this process may. It also has the
// kernel seal an image with fs-verity, where the file system can.
//
// What the package never does: it never decides which image is mounted or sealed, never
// holds a digest against what was signed, and never logs.
package mounts
