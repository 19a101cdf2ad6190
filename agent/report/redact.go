package report

import (
	"regexp"
	"strings"
)

// hidden stands for what is not shown.
const hidden = "***"

var (
	urls = regexp.MustCompile("[A-Za-z][A-Za-z0-9+.-]*://[^\\s\"'<>`]+")

	// parameters of a presigned request, also where the rest of its URL is cut off. A
	// colon after "signature" is that of a sentence.
	parameters = regexp.MustCompile(`(?i)\b((?:x-amz-(?:signature|security-token|credential)|awsaccesskeyid|aws_secret_access_key|aws_session_token)(?:=|:\s*|%3D)|signature(?:=|%3D))[^&\s"';,:]+`)

	privateKeys = regexp.MustCompile(`(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|$)`)
)

// Redact hides what a text has of secrets, as far as their form shows: of each URL
// user and password, fragment and the values of the query, but for a region; the
// signature, token and credential of a presigned request; and private keys in PEM.
// [Clean] does so, too: everything that is printed, logged or reported goes
// through one of them.
func Redact(text string) string {
	if strings.Contains(text, "://") {
		text = urls.ReplaceAllStringFunc(text, redactURL)
	}
	text = parameters.ReplaceAllString(text, "${1}"+hidden)
	return privateKeys.ReplaceAllLiteralString(text, hidden)
}

// redactURL takes the URL for what it looks like, since one that cannot be parsed
// has secrets, too.
func redactURL(text string) string {
	shown := strings.TrimRight(text, ".,:;)]}")
	after := text[len(shown):]
	scheme, rest, _ := strings.Cut(shown, "://")
	rest, fragment, hasFragment := strings.Cut(rest, "#")
	rest, query, hasQuery := strings.Cut(rest, "?")
	if user := userEnd(rest); user >= 0 {
		rest = hidden + rest[user:]
	}
	shown = scheme + "://" + rest
	if hasQuery {
		shown += "?" + redactQuery(query)
	}
	if hasFragment && fragment != "" {
		shown += "#" + hidden
	}
	return shown + after
}

// userEnd is where the @ is that ends user and password, -1 where there are none.
// A password may have a slash, although it should not.
func userEnd(rest string) int {
	host, _, _ := strings.Cut(rest, "/")
	if at := strings.LastIndex(host, "@"); at >= 0 {
		return at
	}
	_, port, hasPort := strings.Cut(host, ":")
	if hasPort && strings.Trim(port, "0123456789") != "" && !strings.HasPrefix(host, "[") {
		return strings.LastIndex(rest, "@")
	}
	return -1
}

func redactQuery(query string) string {
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		name, value, hasValue := strings.Cut(pair, "=")
		switch {
		case name == "region" || value == "" && hasValue:
		case hasValue:
			pairs[i] = name + "=" + hidden
		case pair != "":
			pairs[i] = hidden
		}
	}
	return strings.Join(pairs, "&")
}
