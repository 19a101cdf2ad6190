package main

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"koboshi/artifacts/bucket/s3"
)

// addEncryption adds the flags of what is written to S3.
func addEncryption(cmd *cobra.Command, e *s3.Encryption) {
	cmd.Flags().StringVar(&e.Algorithm, "sse", "", "server-side encryption of what is written to S3: "+strings.Join(s3.Algorithms, ", ")+"; default: the bucket's `ALGORITHM`")
	cmd.Flags().StringVar(&e.KMSKey, "sse-kms-key-id", "", "`KEY` of KMS for --sse aws:kms and aws:kms:dsse: id, ARN or alias; default: the one that AWS manages")
}

// checkEncryption refuses what S3 would, and what is not for S3.
func checkEncryption(source string, e s3.Encryption) error {
	switch err := e.Check(); {
	case err != nil && e.KMSKey != "":
		return usage(errors.New("--sse-kms-key-id: " + err.Error()))
	case err != nil:
		return usage(errors.New("--sse: " + err.Error()))
	case e != s3.Encryption{} && !inS3(source):
		return usage(errors.New("--sse is for s3:// sources: " + source + " is not encrypted by koboshi"))
	}
	return nil
}
