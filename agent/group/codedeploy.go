package group

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"
)

// Deployments are the deployments of a deployment group of CodeDeploy that are under
// way, by their ids.
//
// Source: https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_ListDeployments.html
func (c *Client) Deployments(ctx context.Context, app, deploymentGroup string) (ids []string, err error) {
	out, err := c.deploys.ListDeployments(ctx, &codedeploy.ListDeploymentsInput{
		ApplicationName: aws.String(app), DeploymentGroupName: aws.String(deploymentGroup),
		IncludeOnlyStatuses: []types.DeploymentStatus{
			types.DeploymentStatusCreated, types.DeploymentStatusQueued, types.DeploymentStatusInProgress, types.DeploymentStatusBaking, types.DeploymentStatusReady,
		},
	})
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
