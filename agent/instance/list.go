package instance

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
)

// MaxList bounds a list of instances, in bytes.
const MaxList = 16 << 20

// CheckID accepts the id of an instance: i-, and 8 to 17 lower-case hex digits.
func CheckID(id string) error {
	if !instancePattern.MatchString(id) {
		return fmt.Errorf("%.40q is not the id of an instance", id)
	}
	return nil
}

// ReadIDs reads ids of instances, one a line, or all those in the answer of
// DescribeAutoScalingGroups as JSON, in order and without repetitions. Anything else,
// and a list that is empty or larger than [MaxList], is an error.
//
// Source: https://docs.aws.amazon.com/cli/latest/reference/autoscaling/describe-auto-scaling-groups.html
func ReadIDs(r io.Reader) ([]string, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxList+1))
	if err != nil {
		return nil, err
	}
	if len(data) > MaxList {
		return nil, fmt.Errorf("more than %d bytes", MaxList)
	}
	ids := strings.Fields(string(data))
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		if ids, err = idsOfGroups(data); err != nil {
			return nil, err
		}
	}
	if len(ids) == 0 {
		return nil, errors.New("no instance is in it")
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(ids, func(id string) bool {
		if e := CheckID(id); e != nil && err == nil {
			err = e
		}
		again := seen[id]
		seen[id] = true
		return again
	}), err
}

func idsOfGroups(data []byte) (ids []string, err error) {
	var answer struct {
		Groups []struct {
			Instances []struct {
				ID string `json:"InstanceId"`
			}
		} `json:"AutoScalingGroups"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return nil, fmt.Errorf("no answer of describe-auto-scaling-groups, or not the whole: %w", err)
	}
	for _, g := range answer.Groups {
		for _, i := range g.Instances {
			ids = append(ids, i.ID)
		}
	}
	return ids, nil
}
