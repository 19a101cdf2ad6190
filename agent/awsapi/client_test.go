package awsapi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/smithy-go"
)

// wire answers in turn, the last one for ever, and keeps what was asked.
type wire struct {
	answers []answer
	asked   []*http.Request
	bodies  []string
}

type answer struct {
	status int
	header http.Header
	body   io.Reader
	err    error
}

func says(status int, body string, header ...string) answer {
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return answer{status: status, header: h, body: strings.NewReader(body)}
}

func (w *wire) Do(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	w.asked, w.bodies = append(w.asked, r), append(w.bodies, string(body))
	a := w.answers[min(len(w.asked), len(w.answers))-1]
	if a.err != nil {
		return nil, a.err
	}
	return &http.Response{StatusCode: a.status, Header: a.header, Body: io.NopCloser(a.body), Request: r}, nil
}

func (w *wire) client(s Service) *Client {
	retryer := retry.NewStandard()
	return New(aws.Config{
		Region: "eu-central-1", HTTPClient: w, Retryer: func() aws.Retryer { return retryer },
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
	}, s)
}

var (
	tables = Service{ID: "DynamoDB", Name: "dynamodb", Target: "DynamoDB_20120810", Version: "1.0"}
	stacks = Service{ID: "CloudFormation", Name: "cloudformation", Version: "2010-05-15"}
)

func TestJSON(t *testing.T) {
	w := &wire{answers: []answer{says(200, `{"Count":2,"Other":[1]}`, "Date", "Sun, 29 Nov 2026 01:02:03 GMT")}}
	var out struct{ Count int }
	at, err := w.client(tables).Call(t.Context(), "Query", map[string]string{"TableName": "ids"}, &out)
	if err != nil || out.Count != 2 || !at.Equal(time.Date(2026, 11, 29, 1, 2, 3, 0, time.UTC)) {
		t.Errorf("%+v at %v, %v", out, at, err)
	}
	r := w.asked[0]
	if r.URL.String() != "https://dynamodb.eu-central-1.amazonaws.com/" || r.Method != http.MethodPost || w.bodies[0] != `{"TableName":"ids"}` {
		t.Errorf("%s %s with %s", r.Method, r.URL, w.bodies[0])
	}
	if r.Header.Get("X-Amz-Target") != "DynamoDB_20120810.Query" || r.Header.Get("Content-Type") != "application/x-amz-json-1.0" || r.ContentLength != int64(len(w.bodies[0])) {
		t.Errorf("%v, %d bytes", r.Header, r.ContentLength)
	}
	if signed := r.Header.Get("Authorization"); !strings.Contains(signed, "/eu-central-1/dynamodb/aws4_request") {
		t.Errorf("signed %s", signed)
	}
}

func TestQuery(t *testing.T) {
	w := &wire{answers: []answer{says(200, `<DescribeResponse><DescribeResult><Names><member>a</member><member>b</member></Names></DescribeResult></DescribeResponse>`)}}
	var out struct {
		Names []string `xml:"DescribeResult>Names>member"`
	}
	at, err := w.client(stacks).Call(t.Context(), "Describe", url.Values{"Name": {"x y"}}, &out)
	if err != nil || strings.Join(out.Names, " ") != "a b" || !at.IsZero() {
		t.Errorf("%+v at %v, %v", out, at, err)
	}
	if w.bodies[0] != "Action=Describe&Name=x+y&Version=2010-05-15" || w.asked[0].Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		t.Errorf("%s, %v", w.bodies[0], w.asked[0].Header)
	}
}

func TestRefusals(t *testing.T) {
	for _, tt := range []struct {
		name    string
		service Service
		answer  answer
		code    string
		message string
		asked   int
	}{
		{"JSON, in the header", tables, says(400, `{"message":"no"}`, "X-Amzn-ErrorType", "FooException:http://internal.amazon.com/"), "FooException", "no", 1},
		{"JSON, in the body", tables, says(400, `{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException","Message":"not found"}`), "ResourceNotFoundException", "not found", 1},
		{"JSON, as code", tables, says(400, `{"code":"Foo"}`), "Foo", "", 1},
		{"JSON, throttled", tables, says(400, `{"__type":"ThrottlingException"}`), "ThrottlingException", "", 3},
		{"a proxy", tables, says(403, `<html>blocked</html>`), "status 403", "", 1},
		{"a gateway", tables, says(502, `<html>bad gateway</html>`), "status 502", "", 3},
		{"Query", stacks, says(400, `<ErrorResponse><Error><Code>ValidationError</Code><Message>no such stack</Message></Error></ErrorResponse>`), "ValidationError", "no such stack", 1},
		{"Query, a proxy", stacks, says(403, `{}`), "status 403", "", 1},
		{"a redirect", stacks, says(302, ``, "Location", "http://169.254.169.254/"), "status 302", "", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				body, _ := io.ReadAll(tt.answer.body)
				w := &wire{}
				for range tt.asked {
					a := tt.answer
					a.body = strings.NewReader(string(body))
					w.answers = append(w.answers, a)
				}
				_, err := w.client(tt.service).Call(t.Context(), "Do", url.Values{}, nil)
				refused, ok := errors.AsType[smithy.APIError](err)
				if !ok || refused.ErrorCode() != tt.code || refused.ErrorMessage() != tt.message || len(w.asked) != tt.asked {
					t.Errorf("%v after %d requests, want %s %q after %d", err, len(w.asked), tt.code, tt.message, tt.asked)
				}
				if a, ok := errors.AsType[*Error](err); !ok || string(a.Body) != string(body) {
					t.Errorf("%v has not the answer's bytes", err)
				}
			})
		})
	}
}

// An answer that ends early, or that never came, is asked for again; one without end is
// not read to its end.
func TestBrokenAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		short := answer{status: 200, body: io.MultiReader(strings.NewReader(`{"Cou`), failing{})}
		w := &wire{answers: []answer{short, {err: errors.New("connection reset")}, says(200, `{"Count":1}`)}}
		var out struct{ Count int }
		if _, err := w.client(tables).Call(t.Context(), "Query", map[string]string{}, &out); err != nil || out.Count != 1 || len(w.asked) != 3 {
			t.Errorf("%+v, %v after %d requests", out, err, len(w.asked))
		}
		w = &wire{answers: []answer{{status: 200, body: endless{}}}}
		if _, err := w.client(tables).Call(t.Context(), "Query", map[string]string{}, &out); !errors.Is(err, errLong) {
			t.Errorf("an endless answer: %v", err)
		}
		w = &wire{answers: []answer{says(200, `<html>login here</html>`)}}
		if _, err := w.client(tables).Call(t.Context(), "Query", map[string]string{}, &out); err == nil || len(w.asked) != 1 {
			t.Errorf("an answer that is none: %v after %d requests", err, len(w.asked))
		}
	})
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// A clock that is an hour off costs one more request, once.
func TestClockSkew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ahead := time.Now().UTC().Add(time.Hour)
		date := []string{"Date", ahead.Format(http.TimeFormat)}
		w := &wire{answers: []answer{
			says(403, `{"__type":"InvalidSignatureException","message":"Signature expired"}`, date...),
			says(200, `{}`, date...),
		}}
		c := w.client(tables)
		for range 2 {
			if _, err := c.Call(t.Context(), "Query", map[string]string{}, nil); err != nil {
				t.Fatal(err)
			}
			w.answers[1].body = strings.NewReader(`{}`)
		}
		if len(w.asked) != 3 || !strings.HasPrefix(w.asked[2].Header.Get("X-Amz-Date"), ahead.Format("20060102T15")) {
			t.Errorf("%d requests, the last one signed at %s, the service has %v", len(w.asked), w.asked[len(w.asked)-1].Header.Get("X-Amz-Date"), ahead)
		}
	})
}

func TestNoCredentials(t *testing.T) {
	none := errors.New("none")
	w := &wire{}
	c := w.client(tables)
	c.cfg.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return aws.Credentials{}, none })
	_, err := c.Call(t.Context(), "Query", map[string]string{}, nil)
	if _, ok := errors.AsType[*v4.SigningError](err); !ok || !errors.Is(err, none) || len(w.asked) != 0 {
		t.Errorf("%v after %d requests", err, len(w.asked))
	}
	c = w.client(tables)
	c.cfg.Region = ""
	if _, err := c.Call(t.Context(), "Query", map[string]string{}, nil); !errors.Is(err, ErrNoRegion) {
		t.Errorf("without a region: %v", err)
	}
}
