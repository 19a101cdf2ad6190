// Package balancer makes an instance's few calls of Elastic Load Balancing about
// itself: to be taken out of a target group, and whether the group still sends it
// anything.
//
// A target group shows an instance as draining for the whole deregistration delay, even
// where nothing is in flight, and then as unused.
//
// What the package never does: it never touches another instance's registration,
// registers anything, or logs.
//
// Source: https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html
package balancer
