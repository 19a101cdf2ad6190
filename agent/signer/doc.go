// Package signer opens Ed25519 keys that sign releases and are kept elsewhere: in AWS
// KMS, or wherever a program of the operator's reaches, such as Vault or a hardware
// key. The private key never enters this process.
//
// Each gives an [artifacts.PrivateKey], whose signatures are verified before they are
// used. A message is signed as it is (RFC 8032, without a hash before it), so that the
// signatures are those of a key in a file, and agents cannot tell them apart.
//
// The package never reads a private key, and never logs.
package signer
