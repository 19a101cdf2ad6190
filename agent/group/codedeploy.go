package group

import (
	"context"
	"strings"

	"koboshi/agent/awsapi"
)

var codeDeploy = awsapi.Service{ID: "CodeDeploy", Name: "codedeploy", Target: "CodeDeploy_20141006", Version: "1.1"}

// Deployments are the deployments of a deployment group of CodeDeploy that are under
// way, by their ids.
//
// Source: https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_ListDeployments.html
func (c *Client) Deployments(ctx context.Context, app, deploymentGroup string) (ids []string, err error) {
	var out struct {
		Deployments []string `json:"deployments"`
	}
	_, err = c.deploys.Call(ctx, "ListDeployments", map[string]any{
		"applicationName": app, "deploymentGroupName": deploymentGroup,
		"includeOnlyStatuses": []string{"Created", "Queued", "InProgress", "Baking", "Ready"},
	}, &out)
	if err != nil {
		return nil, explain(ctx, "list the deployments of "+app+"/"+deploymentGroup, err)
	}
	return out.Deployments, nil
}

// missing reports whether a ValidationError says that the group does not exist: there
// is no code of its own for that.
func missing(message string) bool {
	return strings.Contains(message, "not found") || strings.Contains(message, "does not exist")
}
