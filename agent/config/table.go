package config

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Table is where node ids are recorded: objects of a bucket below a prefix, or a
// table of DynamoDB. The zero Table is none.
type Table struct {
	Kind   string // TableS3 or TableDynamoDB
	Bucket string // of S3
	Prefix string // of S3: the ids are below <prefix>/nodes/; no slash at either end, "" = the bucket's top
	Name   string // of DynamoDB
	Region string // "" = the instance's, or the environment's
}

// What Table.Kind may be.
const (
	TableS3       = "s3"
	TableDynamoDB = "dynamodb"
)

// ParseTable reads s3://bucket/prefix or dynamodb://table, either with
// ?region=eu-west-1 behind it where that is another one than the caller's.
func ParseTable(s string) (Table, error) {
	u, err := url.Parse(s)
	if err != nil {
		return Table{}, errors.New("not a URL such as s3://bucket/prefix or dynamodb://table") // the cause would quote a password
	}
	if u.User != nil || u.Fragment != "" {
		return Table{}, fmt.Errorf("%s: want no user and no fragment", u.Redacted())
	}
	switch u.Scheme {
	case TableS3:
		if err := checkBucket(u); err != nil {
			return Table{}, err
		}
		return Table{Kind: TableS3, Bucket: u.Host, Prefix: strings.Trim(u.Path, "/"), Region: u.Query().Get("region")}, nil
	case TableDynamoDB:
		if !isTableName(u.Host) || strings.Trim(u.Path, "/") != "" {
			return Table{}, fmt.Errorf("%s: want dynamodb:// and the name of a table: letters, digits and _ . -, 3 to 255", u)
		}
		if err := checkRegion(u); err != nil {
			return Table{}, err
		}
		return Table{Kind: TableDynamoDB, Name: u.Host, Region: u.Query().Get("region")}, nil
	}
	return Table{}, fmt.Errorf("%q: want s3://bucket/prefix or dynamodb://table", s)
}

func isTableName(s string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
	return len(s) >= 3 && len(s) <= 255 && strings.Trim(s, letters) == ""
}

// IsZero reports whether there is no table.
func (t Table) IsZero() bool { return t == Table{} }

// String is the table as a file has it, "" where there is none.
func (t Table) String() string {
	if t.IsZero() {
		return ""
	}
	u := url.URL{Scheme: t.Kind, Host: t.Bucket + t.Name}
	if t.Prefix != "" {
		u.Path = "/" + t.Prefix
	}
	if t.Region != "" {
		u.RawQuery = "region=" + t.Region
	}
	return u.String()
}

// MarshalText spells it as a file has it.
func (t Table) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText takes what [ParseTable] does, or nothing.
func (t *Table) UnmarshalText(text []byte) (err error) {
	*t = Table{}
	if len(text) > 0 {
		*t, err = ParseTable(string(text))
	}
	return err
}

// tableOf is the app's part of its first source in S3, which is where its node ids
// are where a file names no table; the zero Table where no source is in S3.
func tableOf(sources Sources, app string) Table {
	for _, source := range sources {
		t, err := ParseTable(source)
		if err == nil && t.Kind == TableS3 {
			t.Prefix = strings.TrimPrefix(t.Prefix+"/"+app, "/")
			return t
		}
	}
	return Table{}
}
