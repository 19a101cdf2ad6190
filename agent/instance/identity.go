package instance

import (
	"context"
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	"github.com/go-json-experiment/json"
)

// Identity is the content of the instance identity document. ID, Region and AZ
// are always set; a field that AWS leaves out is "".
//
// Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-identity-documents.html
type Identity struct {
	ID        string `json:"instanceId"`       // i-0123456789abcdef0
	Region    string `json:"region"`           // eu-central-1
	AZ        string `json:"availabilityZone"` // eu-central-1a, us-east-1-bos-1a
	Type      string `json:"instanceType"`     // m7g.large
	Image     string `json:"imageId"`          // ami-0123456789abcdef0
	Account   string `json:"accountId"`        // 12 digits
	PrivateIP string `json:"privateIp"`        // primary address
}

// Identity returns the identity of this instance. The document cannot change
// while the instance runs, so once it was read it is kept.
func (m *Metadata) Identity(ctx context.Context) (Identity, error) {
	if id := m.identity.Load(); id != nil {
		return *id, nil
	}
	document, err := m.dynamic(ctx, "instance-identity/document")
	if err != nil {
		return Identity{}, err
	}
	id, err := parseIdentity(document)
	if err != nil {
		return Identity{}, fmt.Errorf("read instance-identity/document: %w", err)
	}
	m.identity.Store(&id)
	return id, nil
}

var (
	instancePattern = regexp.MustCompile(`^i-[0-9a-f]{8,17}$`)
	imagePattern    = regexp.MustCompile(`^ami-[0-9a-f]{8,17}$`)
	regionPattern   = regexp.MustCompile(`^[a-z]{2,4}(-[a-z]{2,12}){1,3}-[0-9]{1,2}$`)
	zonePattern     = regexp.MustCompile(`^([a-z]|(-[a-z0-9]{1,8}){1,4})$`) // after the region
	typePattern     = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,31}$`)
	accountPattern  = regexp.MustCompile(`^[0-9]{12}$`)
)

// parseIdentity reads an identity document. Names must be unique and exact;
// unknown ones are allowed, as AWS adds some.
func parseIdentity(document []byte) (Identity, error) {
	var id Identity
	if err := json.Unmarshal(document, &id); err != nil {
		return Identity{}, fmt.Errorf("%w: not an identity document", ErrMalformed)
	}
	if err := id.check(); err != nil {
		return Identity{}, err
	}
	return id, nil
}

// check checks every field against its grammar.
func (id Identity) check() error {
	zone, inRegion := strings.CutPrefix(id.AZ, id.Region)
	_, noIP := netip.ParseAddr(id.PrivateIP)
	for _, field := range []struct {
		name, value string
		ok          bool
	}{
		{"instanceId", id.ID, instancePattern.MatchString(id.ID)},
		{"region", id.Region, regionPattern.MatchString(id.Region)},
		{"availabilityZone", id.AZ, inRegion && zonePattern.MatchString(zone)},
		{"instanceType", id.Type, id.Type == "" || typePattern.MatchString(id.Type)},
		{"imageId", id.Image, id.Image == "" || imagePattern.MatchString(id.Image)},
		{"accountId", id.Account, id.Account == "" || accountPattern.MatchString(id.Account)},
		{"privateIp", id.PrivateIP, id.PrivateIP == "" || noIP == nil},
	} {
		if !field.ok {
			return fmt.Errorf("%w: %s is %.64q", ErrMalformed, field.name, field.value)
		}
	}
	return nil
}
