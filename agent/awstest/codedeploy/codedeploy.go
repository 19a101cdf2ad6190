// Package codedeploy is CodeDeploy as far as its deployments are listed. Nothing is
// deployed: a test or a script says which deployments there are.
package codedeploy

import (
	"fmt"
	"slices"
	"strconv"
	"sync"

	"koboshi/agent/awstest/jsonrpc"
)

// Deployment is one deployment of a deployment group.
type Deployment struct {
	ID     string `json:"id"`     // such as d-8JHL2KQF1
	Status string `json:"status"` // one of Statuses
}

// Statuses are those of the API.
// https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_DeploymentInfo.html
var Statuses = []string{"Created", "Queued", "InProgress", "Baking", "Succeeded", "Failed", "Stopped", "Ready"}

// maxPage is how many deployments one answer has.
const maxPage = 100

// Store has the deployments of all applications.
type Store struct {
	mu   sync.Mutex
	apps map[string]map[string][]Deployment // by application and deployment group, the newest first
}

// New is a store without applications.
func New() *Store { return &Store{apps: map[string]map[string][]Deployment{}} }

// Set gives a deployment group these deployments, the newest first, and no others. It
// makes the group and its application.
func (s *Store) Set(app, group string, deployments ...Deployment) error {
	for _, d := range deployments {
		if d.ID == "" || !slices.Contains(Statuses, d.Status) {
			return fmt.Errorf("deployment %q is %q: want an id, and one of %q", d.ID, d.Status, Statuses)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.apps[app] == nil {
		s.apps[app] = map[string][]Deployment{}
	}
	s.apps[app][group] = slices.Clone(deployments)
	return nil
}

// API is the service over the store.
func (s *Store) API() *jsonrpc.API {
	return jsonrpc.New("CodeDeploy_20141006", &s.mu, map[string]jsonrpc.Action{"ListDeployments": s.list})
}

func (s *Store) list(r jsonrpc.Request) (any, error) {
	var in struct {
		App       string   `json:"applicationName"`
		Group     string   `json:"deploymentGroupName"`
		Statuses  []string `json:"includeOnlyStatuses"`
		NextToken string   `json:"nextToken"`
	}
	if err := r.Into(&in); err != nil {
		return nil, err
	}
	all, err := s.chosen(in.App, in.Group)
	if err != nil {
		return nil, err
	}
	from := 0
	if in.NextToken != "" {
		if from, err = strconv.Atoi(in.NextToken); err != nil || from < 0 || from > len(all) {
			return nil, &jsonrpc.Error{Code: "InvalidNextTokenException", Message: "The specified next token is invalid"}
		}
	}
	ids := []string{}
	for _, d := range all {
		if len(in.Statuses) == 0 || slices.Contains(in.Statuses, d.Status) {
			ids = append(ids, d.ID)
		}
	}
	out := map[string]any{}
	ids = ids[min(from, len(ids)):]
	if len(ids) > maxPage {
		ids, out["nextToken"] = ids[:maxPage], strconv.Itoa(from+maxPage)
	}
	out["deployments"] = ids
	return out, nil
}

// chosen are the deployments of a group. Application and group go together.
func (s *Store) chosen(app, group string) (all []Deployment, err error) {
	groups, known := s.apps[app]
	_, has := groups[group]
	switch {
	case app == "" && group == "":
		for _, groups := range s.apps {
			for _, of := range groups {
				all = append(all, of...)
			}
		}
		return all, nil
	case app == "":
		return nil, &jsonrpc.Error{Code: "ApplicationNameRequiredException", Message: "An application name is required"}
	case group == "":
		return nil, &jsonrpc.Error{Code: "DeploymentGroupNameRequiredException", Message: "A deployment group name is required"}
	case !known:
		return nil, &jsonrpc.Error{Code: "ApplicationDoesNotExistException", Message: "No application found for name: " + app}
	case !has:
		return nil, &jsonrpc.Error{Code: "DeploymentGroupDoesNotExistException", Message: "No Deployment Group found for name: " + group}
	}
	return groups[group], nil
}
