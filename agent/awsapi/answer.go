package awsapi

import (
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/go-json-experiment/json"
)

// maxAnswer is how many bytes of an answer are read. DynamoDB answers a query with 1 MB
// at most, the other services with less.
const maxAnswer = 4 << 20

var errLong = errors.New("the answer has more than 4 MiB")

// Error is what a service answers that refuses a call. Code and message are as the
// service has them; where something else answers, such as a proxy, the code is "status"
// and the number.
type Error struct {
	smithy.GenericAPIError
	Body []byte // as it came: some errors have members of their own
}

// read is the body of an answer. A call whose answer ends early is repeated by the
// retryer, as one without an answer.
func read(body io.Reader) ([]byte, error) {
	all, err := io.ReadAll(io.LimitReader(body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, &smithyhttp.RequestSendError{Err: err}
	case len(all) > maxAnswer:
		return nil, errLong
	}
	return all, nil
}

// refusal is the error of an answer with a status of failure.
func (s Service) refusal(response *http.Response, body []byte) error {
	var code, message string
	if s.Target != "" {
		var document struct {
			Type    string `json:"__type"`
			Code    string `json:"code"`
			Message string `json:"message,case:ignore"`
		}
		_ = json.Unmarshal(body, &document) // a proxy answers in another format
		code, message = cmp.Or(plainCode(response.Header.Get("X-Amzn-ErrorType")), plainCode(document.Type), plainCode(document.Code)), document.Message
	} else {
		var document struct {
			Code    string `xml:"Error>Code"`
			Message string `xml:"Error>Message"`
		}
		_ = xml.Unmarshal(body, &document)
		code, message = document.Code, document.Message
	}
	fault := smithy.FaultClient
	if response.StatusCode >= http.StatusInternalServerError {
		fault = smithy.FaultServer
	}
	return &Error{smithy.GenericAPIError{Code: cmp.Or(code, fmt.Sprintf("status %d", response.StatusCode)), Message: message, Fault: fault}, body}
}

// plainCode is an error's name without its namespace, and without what may stand
// behind it: aws.protocoltests#FooError:http://….
func plainCode(name string) string {
	name, _, _ = strings.Cut(name, ":")
	if _, after, ok := strings.Cut(name, "#"); ok {
		return after
	}
	return name
}
