// Package group makes the calls of the release side on one Auto Scaling group: what it
// is doing, its processes suspended and resumed, and its instance refreshes started and
// ended; and it asks CodeDeploy for the deployments of a deployment group that are under
// way.
//
// Describe of AWS is eventually consistent: for seconds after a call it may answer what
// was before. So a [Group] carries the time of its answer, by AWS's clock.
//
// What the package never does: it never sends an empty list of processes, which AWS
// reads as all of them; it never changes capacity, nor instances other than by an
// instance refresh; it never logs.
package group
