// Package amis has the tags by which an AMI says what koboshi baked into it, and
// reads them from the output of `aws ec2 describe-images`.
//
// A tag is written koboshi:version, for the app of koboshi.toml, or with the
// configuration's name between, koboshi:NAME:version, for another app of the AMI.
//
// Tags are unsigned: anyone who may tag an AMI can write any of them. They say what to
// look at, and never what to run.
//
// What the package never does: it makes no calls, and never logs.
package amis
