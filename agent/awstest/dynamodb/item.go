package dynamodb

type stored struct{}
