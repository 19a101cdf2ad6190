package amis

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// MaxBytes bounds what is read: about ten thousand AMIs.
const MaxBytes = 16 << 20

// maxAMIs bounds what is kept of it.
const maxAMIs = 100_000

// AMI is an AMI as EC2 describes it.
type AMI struct {
	ID      string
	Name    string // anything: not safe to print as it is
	Arch    string // in Go's names, such as amd64; "" = not known
	Created time.Time
	Carries []Carried // by the name of the configuration; empty where koboshi has baked nothing
	Err     error     // why some of its tags cannot be read: what they are for is not in Carries
}

// ErrOutput is returned for what is no whole output of aws ec2 describe-images.
var ErrOutput = errors.New("this is not the whole output of aws ec2 describe-images --output json")

// Read reads the output of aws ec2 describe-images, as JSON, in its order. Errors are
// [ErrOutput]: too large, cut off, one page of several, or something else.
//
// Source: https://docs.aws.amazon.com/cli/latest/reference/ec2/describe-images.html
func Read(data []byte) ([]AMI, error) {
	if len(data) > MaxBytes {
		return nil, fmt.Errorf("%w: it is larger than %d bytes", ErrOutput, MaxBytes)
	}
	var out struct {
		Images *[]struct {
			ID      string `json:"ImageId"`
			Name    string
			Arch    string `json:"Architecture"`
			Created string `json:"CreationDate"`
			Tags    []Tag
		}
		NextToken string
	}
	err := json.Unmarshal(data, &out, jsontext.AllowDuplicateNames(false), json.MatchCaseInsensitiveNames(false))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrOutput, err)
	case out.Images == nil:
		return nil, fmt.Errorf("%w: it has no Images", ErrOutput)
	case out.NextToken != "":
		return nil, fmt.Errorf("%w: it is one page of several, with a NextToken", ErrOutput)
	case len(*out.Images) > maxAMIs:
		return nil, fmt.Errorf("%w: it has more than %d images", ErrOutput, maxAMIs)
	}
	all := make([]AMI, 0, len(*out.Images))
	for n, i := range *out.Images {
		if !isID(i.ID) {
			return nil, fmt.Errorf("%w: image %d has the id %.40q", ErrOutput, n+1, i.ID)
		}
		a := AMI{ID: i.ID, Name: i.Name, Arch: archOf(i.Arch)}
		a.Created, _ = time.Parse(time.RFC3339, i.Created) // not known: for people only
		a.Carries, a.Err = read(i.Tags)
		all = append(all, a)
	}
	return all, nil
}

func isID(id string) bool {
	digits, ok := strings.CutPrefix(id, "ami-")
	return ok && digits != "" && len(digits) <= 40 && strings.Trim(digits, "0123456789abcdef") == ""
}

func archOf(arch string) string {
	if arch == "x86_64" {
		return "amd64"
	}
	if arch == "arm64" {
		return arch
	}
	return ""
}

// read sorts an AMI's tags by configuration. Only one that has an app, a version or a
// manifest was written by koboshi: koboshi:channel alone may be for the instances.
func read(tags []Tag) (all []Carried, err error) {
	found := map[string]map[string]string{}
	for _, t := range tags {
		name, word, ours := split(t.Key)
		if !ours {
			continue
		}
		if found[name] == nil {
			found[name] = map[string]string{}
		}
		found[name][word] = t.Value
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		its := found[name]
		if its[app]+its[version]+its[manifest] == "" {
			continue
		}
		c, fault := carried(name, its)
		if fault != nil {
			err = errors.Join(err, fault)
			continue
		}
		all = append(all, c)
	}
	return all, err
}

// Of is what the AMI carries of an app.
func (a AMI) Of(app string) (c Carried, ok bool) {
	i := slices.IndexFunc(a.Carries, func(c Carried) bool { return c.App == app })
	if i < 0 {
		return c, false
	}
	return a.Carries[i], true
}
