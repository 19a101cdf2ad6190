package imds

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"koboshi/agent/awstest/account"
)

// tree is all of an instance's metadata: leaves by their path below the version.
type tree map[string]string

// get returns a leaf, or the listing of a directory: its names sorted, one a
// line, directories with a slash (but not right below the version).
func (t tree) get(path string) (string, bool) {
	if leaf, ok := t[path]; ok {
		return leaf, true
	}
	dir := strings.TrimSuffix(path, "/")
	if dir != "" {
		dir += "/"
	}
	var names []string
	for leaf := range t {
		below, ok := strings.CutPrefix(leaf, dir)
		if !ok {
			continue
		}
		name, _, isDir := strings.Cut(below, "/")
		if isDir && dir != "" {
			name += "/"
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), "\n"), len(names) > 0
}

// put sets leaves below a directory.
func (t tree) put(dir string, leaves map[string]string) {
	for name, value := range leaves {
		t[dir+name] = value
	}
}

// metadata is what the service shows now.
func (i Instance) metadata(switches Switches, now time.Time) tree {
	t := tree{}
	t.put("meta-data/", i.basics())
	t.put("meta-data/placement/", i.placement())
	t.put("meta-data/network/interfaces/macs/"+i.mac()+"/", i.network())
	t.put("meta-data/", i.credentials(switches, now))
	t.put("meta-data/", i.notices(switches, now))
	t.put("dynamic/instance-identity/", i.identity())
	t.put("meta-data/tags/instance/", i.visibleTags())
	if i.UserData != nil {
		t["user-data"] = string(i.UserData)
	}
	return t
}

func (i Instance) basics() map[string]string {
	return map[string]string{
		"ami-id":              i.AMI,
		"ami-launch-index":    "0",
		"ami-manifest-path":   "(unknown)",
		"hostname":            i.hostname(),
		"instance-action":     "none",
		"instance-id":         i.ID,
		"instance-life-cycle": i.lifeCycle(),
		"instance-type":       i.Type,
		"local-hostname":      i.hostname(),
		"local-ipv4":          i.IP.String(),
		"mac":                 i.mac(),
		"profile":             "default-hvm",
		"reservation-id":      "r-0" + i.ID[3:],
		"security-groups":     "default",
		"services/domain":     "amazonaws.com",
		"services/partition":  "aws",
	}
}

func (i Instance) lifeCycle() string {
	if i.Spot {
		return "spot"
	}
	return "on-demand"
}

func (i Instance) placement() map[string]string {
	return map[string]string{
		"availability-zone":    i.AZ,
		"availability-zone-id": zoneID(i.AZ),
		"region":               i.region(),
	}
}

func (i Instance) network() map[string]string {
	return map[string]string{
		"device-number":          "0",
		"interface-id":           "eni-0" + i.ID[3:],
		"local-hostname":         i.hostname(),
		"local-ipv4s":            i.IP.String(),
		"mac":                    i.mac(),
		"owner-id":               account.ID,
		"security-group-ids":     "sg-0123456789abcdef0",
		"security-groups":        "default",
		"subnet-id":              "subnet-0123456789abcdef0",
		"subnet-ipv4-cidr-block": "10.0.0.0/16",
		"vpc-id":                 "vpc-0123456789abcdef0",
		"vpc-ipv4-cidr-block":    "10.0.0.0/16",
		"vpc-ipv4-cidr-blocks":   "10.0.0.0/16",
	}
}

// notices are the values that come and go: the target state, spot, rebalance.
func (i Instance) notices(switches Switches, now time.Time) map[string]string {
	leaves := map[string]string{}
	if target := cmp.Or(switches.TargetState, i.TargetState); target != "" {
		leaves["autoscaling/target-lifecycle-state"] = target
	}
	if at := switches.SpotTime; switches.SpotAction != "" && !now.Before(switches.SpotFrom) {
		leaves["spot/instance-action"] = fmt.Sprintf(`{"action":%q,"time":%q}`, switches.SpotAction, stamp(at))
		leaves["spot/termination-time"] = stamp(at)
	}
	if at := switches.Rebalance; !at.IsZero() {
		leaves["events/recommendations/rebalance"] = fmt.Sprintf(`{"noticeTime":%q}`, stamp(at))
	}
	return leaves
}

// visibleTags leaves out tags that EC2 does not show in IMDS: keys that cannot be in a path.
func (i Instance) visibleTags() map[string]string {
	tags := map[string]string{}
	for key, value := range i.Tags {
		if key != "" && key != "." && key != ".." && !strings.ContainsAny(key, "/ ") {
			tags[key] = value
		}
	}
	return tags
}

func (i Instance) hostname() string {
	name := "ip-" + strings.ReplaceAll(i.IP.String(), ".", "-")
	if i.region() == "us-east-1" {
		return name + ".ec2.internal"
	}
	return name + "." + i.region() + ".compute.internal"
}

func (i Instance) mac() string {
	b := i.IP.As4()
	return fmt.Sprintf("02:00:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3])
}

// region is the zone without its letter.
func (i Instance) region() string {
	return strings.TrimRight(i.AZ, "abcdefgh")
}

// zoneID makes use1-az1 of us-east-1a.
func zoneID(az string) string {
	region := strings.TrimRight(az, "abcdefgh")
	short := strings.NewReplacer("north", "n", "south", "s", "east", "e", "west", "w", "central", "c", "gov", "g", "-", "").Replace(region)
	number := 1
	if letter := strings.TrimPrefix(az, region); letter != "" {
		number = int(letter[0]-'a') + 1
	}
	return fmt.Sprintf("%s-az%d", short, number)
}

// stamp writes a time as IMDS does: whole seconds, UTC.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }
