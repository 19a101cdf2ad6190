package artifacts

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var agentGrammar = regexp.MustCompile(`^v?(\d{1,6}\.\d{1,6}\.\d{1,6})(?:[-+].*)?$`)

// checkMinAgent compares min_agent, three numbers such as "0.1.0", with this
// agent's version; what follows the numbers (a pre-release) does not count.
func (t Trust) checkMinAgent(minimum string) error {
	if minimum == "" {
		return nil
	}
	want, err := agentNumbers(minimum)
	if err != nil {
		return untrusted("min_agent: %w", err)
	}
	have, err := agentNumbers(t.agent)
	if err != nil {
		return fmt.Errorf("%w: the release wants %s: %w", ErrTooOld, clip(minimum), err)
	}
	if slices.Compare(have, want) < 0 {
		return fmt.Errorf("%w: the release wants %s, this is %s", ErrTooOld, clip(minimum), t.agent)
	}
	return nil
}

// CheckMinAgent refuses a min_agent that every agent would refuse; "" is none.
func CheckMinAgent(minimum string) error {
	if minimum == "" {
		return nil
	}
	_, err := agentNumbers(minimum)
	return err
}

// NewerAgent is the later one of two agent versions; "" is older than any.
func NewerAgent(a, b string) string {
	first, _ := agentNumbers(a)
	second, _ := agentNumbers(b)
	if slices.Compare(first, second) < 0 {
		return b
	}
	return a
}

func agentNumbers(version string) ([]int, error) {
	m := agentGrammar.FindStringSubmatch(version)
	if m == nil {
		return nil, fmt.Errorf("%q is not an agent version such as 0.1.0", clip(version))
	}
	var numbers []int
	for part := range strings.SplitSeq(m[1], ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			return nil, err
		}
		numbers = append(numbers, n)
	}
	return numbers, nil
}
