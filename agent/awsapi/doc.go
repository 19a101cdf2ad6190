// Package awsapi calls services of AWS of which koboshi uses a few operations: by the
// SDK's own signer, retries and errors, but without the SDK's client of that service,
// which would add 0.3 to 0.8 MB to the program, and all of its operations.
//
// It knows two protocols, AWS JSON and AWS Query. What is sent and what is read of an
// answer are the caller's own types. It never decides what an error means, and never
// tries again by itself: the configuration's retryer does.
package awsapi
