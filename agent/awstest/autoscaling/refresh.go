package autoscaling

import (
	"fmt"
	"slices"
	"time"

	"koboshi/agent/awstest/query"
)

// Refresh is an instance refresh, which is only shown: nothing is replaced by it.
type Refresh struct {
	ID      string    `json:"id,omitempty"`
	Status  string    `json:"status"` // Pending, InProgress, Baking, Cancelling, RollbackInProgress are active
	Started time.Time `json:"started,omitzero"`
}

// refreshStatuses are those of the API.
var refreshStatuses = []string{"Pending", "InProgress", "Successful", "Failed", "Cancelling", "Cancelled", "RollbackInProgress", "RollbackFailed", "RollbackSuccessful", "Baking"}

// SetRefreshes gives a group these instance refreshes, the newest first, and no others.
func (m *Model) SetRefreshes(group string, refreshes ...Refresh) (err error) {
	m.do(func(now time.Time) {
		var g *Group
		if g, err = m.group(group); err != nil {
			return
		}
		for n := range refreshes {
			r := &refreshes[n]
			if !slices.Contains(refreshStatuses, r.Status) {
				err = query.Invalid(fmt.Sprintf("an instance refresh is not %q", r.Status))
				return
			}
			if r.ID == "" {
				r.ID = fmt.Sprintf("00000000-0000-4000-a000-%012x", len(refreshes)-n)
			}
			if r.Started.IsZero() {
				r.Started = now
			}
		}
		g.Refreshes = slices.Clone(refreshes)
	})
	return err
}

type (
	refreshShape struct {
		ID        string `xml:"InstanceRefreshId"`
		Group     string `xml:"AutoScalingGroupName"`
		Status    string
		StartTime string
	}
	refreshesResult struct {
		Refreshes []refreshShape `xml:"InstanceRefreshes>member"`
		NextToken string         `xml:",omitempty"`
	}
)

func (s api) describeRefreshes(p query.Params, now time.Time) (any, error) {
	g, err := s.seen(now).group(p.Get("AutoScalingGroupName"))
	if err != nil {
		return nil, err
	}
	var all []refreshShape
	for _, r := range g.Refreshes {
		if chosen(p.List("InstanceRefreshIds"), r.ID) {
			all = append(all, refreshShape{r.ID, g.Name, r.Status, timestamp(r.Started)})
		}
	}
	page, next, err := paged(p, all)
	return refreshesResult{page, next}, err
}
