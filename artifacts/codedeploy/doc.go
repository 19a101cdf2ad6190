// Package codedeploy reads the appspec.yml of an AWS CodeDeploy bundle for EC2
// (https://docs.aws.amazon.com/codedeploy/latest/userguide/reference-appspec-file.html),
// maps its scripts to the hooks of a release, and reports everything that has no
// counterpart, with what to do in its place.
//
// The terms are those of CodeDeploy: an event of a deployment (BeforeInstall) has
// scripts, which are at a location in the bundle.
//
// What is not allowed is reported all at once, never guessed: unknown events and
// keys, keys that come twice, anchors. The package reads no files by itself and
// runs nothing.
package codedeploy
