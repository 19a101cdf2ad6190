package main

import (
	"crypto/rand"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"koboshi/agent/config"
	"koboshi/agent/lease"
	"koboshi/artifacts/bucket/s3"
)

// openTable makes the client of the table of a scope's node ids.
func openTable(cfg aws.Config, t config.Table, scope string) (lease.Table, error) {
	if t.Region != "" {
		cfg.Region = t.Region
	}
	if t.Kind == config.TableS3 {
		return lease.NewObjects(s3.New(cfg, t.Bucket, t.Prefix), scope, t.String(), time.Now), nil
	}
	return lease.NewRows(cfg, t.Name, scope, time.Now), nil
}

// drawNonce draws what tells this process from every other one that claims a node id.
func drawNonce() (n lease.Nonce) {
	_, _ = rand.Read(n[:]) // it never fails
	return n
}
