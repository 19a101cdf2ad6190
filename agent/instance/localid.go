package instance

import (
	"io"
	"os"
	"strings"
)

// AssetTag is the file in which the firmware of Nitro instances shows the instance id.
const AssetTag = "/sys/devices/virtual/dmi/id/board_asset_tag"

// LocalID returns the instance id in the file at path ([AssetTag]), without using
// the network, and false where there is none. It is the id of the real machine:
// do not use it where the metadata comes from another endpoint.
func LocalID(path string) (id string, ok bool) {
	file, err := os.Open(path)
	if err != nil {
		return "", false
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, 64))
	if err != nil {
		return "", false
	}
	id = strings.TrimSuffix(string(content), "\n")
	if !instancePattern.MatchString(id) {
		return "", false
	}
	return id, true
}
