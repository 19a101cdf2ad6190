package instance

import (
	"io"
	"os"
	"strings"
)

// AssetTag is where the firmware of Nitro instances tells the instance id.
const AssetTag = "/sys/devices/virtual/dmi/id/board_asset_tag"

// LocalID returns the instance id that the file at path ([AssetTag]) holds,
// without asking the network, and false where it holds none. It names the
// machine under the process: whoever points the metadata elsewhere must not ask it.
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
