package config

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"strings"
)

// CheckSource checks that releases can come from s: s3://bucket/prefix,
// file:///directory or https://host/path. A bucket in another region than the
// caller's names it: s3://bucket/prefix?region=eu-west-1.
func CheckSource(s string) error {
	u, err := url.Parse(s)
	if err != nil {
		return errors.New("not a URL such as s3://bucket/prefix") // the cause would quote a password
	}
	if u.User != nil || u.Fragment != "" || u.Scheme != "s3" && (u.RawQuery != "" || u.ForceQuery) {
		return fmt.Errorf("%s: want no user, query or fragment", u.Redacted())
	}
	switch u.Scheme {
	case "s3":
		return checkBucket(u)
	case "https":
		if u.Host == "" {
			return fmt.Errorf("%s: want a name after %s://", s, u.Scheme)
		}
	case "file":
		if u.Host != "" || !path.IsAbs(u.Path) {
			return fmt.Errorf("%s: want file:/// and an absolute path", s)
		}
	case "http":
		if !loopback(u.Hostname()) {
			return fmt.Errorf("%s: want https://", s)
		}
	default:
		return fmt.Errorf("%q: want s3://bucket/prefix, file:///directory or https://host/path", s)
	}
	return nil
}

func checkBucket(u *url.URL) error {
	if u.Host == "" {
		return fmt.Errorf("%s: want a name after s3://", u)
	}
	return checkRegion(u)
}

// checkRegion allows no query but a region.
func checkRegion(u *url.URL) error {
	if u.RawQuery == "" && !u.ForceQuery {
		return nil
	}
	region, ok := strings.CutPrefix(u.RawQuery, "region=")
	if !ok || !IsRegion(region) {
		return fmt.Errorf("%s: want no query but a region such as ?region=eu-west-1", u)
	}
	return nil
}

const maxRegion = 40

// IsRegion reports whether s may be the name of an AWS region: lower-case letters,
// digits and hyphens, a letter first. It becomes part of a host name.
func IsRegion(s string) bool {
	const lower = "abcdefghijklmnopqrstuvwxyz"
	return s != "" && len(s) <= maxRegion && strings.Contains(lower, s[:1]) && strings.Trim(s, lower+"0123456789-") == ""
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
