package report

import (
	"strings"
	"testing"
)

func TestRedact(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "",
		"no URL at all, a://":                "no URL at all, a://",
		"get s3://releases/apps/web: denied": "get s3://releases/apps/web: denied",
		"s3://releases/apps?region=eu-west-1: the bucket":   "s3://releases/apps?region=eu-west-1: the bucket",
		"http://127.0.0.1:8080/healthz":                     "http://127.0.0.1:8080/healthz",
		"http://[::1]:8080/healthz":                         "http://[::1]:8080/healthz",
		"https://registry/pkg@1.0/x":                        "https://registry/pkg@1.0/x",
		"https://user:hunter2@host/path: refused":           "https://***@host/path: refused",
		"https://hunter2@host":                              "https://***@host",
		"https://user:hunter2/x@host/path":                  "https://***@host/path",
		"https://user:h@nter2@host/path":                    "https://***@host/path",
		`"https://u:hunter2@host" and "http://b:hunter2@c"`: `"https://***@host" and "http://***@c"`,
		"postgres://app:hunter2@db:5432/web?sslmode=x":      "postgres://***@db:5432/web?sslmode=***",
		"https://host/a?token=hunter2&b=":                   "https://host/a?token=***&b=",
		"https://host/a?hunter2":                            "https://host/a?***",
		"https://host/a#hunter2":                            "https://host/a#***",
		"(see https://host/a?x=hunter2).":                   "(see https://host/a?x=***).",
		"https://b.s3.amazonaws.com/k?X-Amz-Algorithm=AWS4&X-Amz-Credential=AKIA%2Fhunter2&X-Amz-Security-Token=hunter2%3D&X-Amz-Signature=hunter2": "https://b.s3.amazonaws.com/k?X-Amz-Algorithm=***&X-Amz-Credential=***&X-Amz-Security-Token=***&X-Amz-Signature=***",
		"/k?AWSAccessKeyId=hunter2&Signature=hunter2":                             "/k?AWSAccessKeyId=***&Signature=***",
		"verification failed: signature: accepted signatures do not match":        "verification failed: signature: accepted signatures do not match",
		"/k?X-Amz-Signature=hunter2&x=1":                                          "/k?X-Amz-Signature=***&x=1",
		"x-amz-security-token: hunter2 sent":                                      "x-amz-security-token: *** sent",
		"AWS_SECRET_ACCESS_KEY=hunter2 is set":                                    "AWS_SECRET_ACCESS_KEY=*** is set",
		"open -----BEGIN PRIVATE KEY----- hunter2 -----END PRIVATE KEY----- : no": "open *** : no",
		"open -----BEGIN EC PRIVATE KEY-----\nhunter2\nhunter2":                   "open ***",
		"-----BEGIN PUBLIC KEY-----":                                              "-----BEGIN PUBLIC KEY-----",
	} {
		got := Redact(text)
		if got != want {
			t.Errorf("%q\nbecomes %q\nwant    %q", text, got, want)
		}
		if again := Redact(got); again != got {
			t.Errorf("%q becomes %q", got, again)
		}
	}
}

// What hides a secret from one of the two is not hidden from the other.
func TestCleanRedacts(t *testing.T) {
	for _, text := range []string{
		"https://user:hunter2@host/", "https:/\x1b[0m/user:hunter2@host/", "ht\u200btps://user:hunter2@host/", "https://user:hun\x00ter2@host/",
		"-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n", "https://host/?X-Amz-Signature=\x1bchunter2",
	} {
		for _, limit := range []int{8, 16, 24, 100} {
			if got := Clean(text, limit); strings.Contains(got, "hunter2") {
				t.Errorf("%q, %d: %q", text, limit, got)
			}
		}
	}
}
