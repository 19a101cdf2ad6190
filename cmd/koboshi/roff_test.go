package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func TestUnread(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"plain text.", "plain text."},
		{".TH", `\&.TH`},
		{"'br", `\(aqbr`},
		{"--out", `\-\-out`},
		{`a\fBb`, `a\efBb`},
		{"`x` ~ ^", `\(gax\(ga \(ti \(ha`},
	} {
		if got := unread(test.in); got != test.want {
			t.Errorf("unread(%q) = %q, want %q", test.in, got, test.want)
		}
	}
	if got := quotable(`say "no"`); got != `say \(dqno\(dq` {
		t.Errorf("quotable = %s", got)
	}
}

// Every command has a page that names all its flags and codes, and a page has
// no request but the few that are meant.
func TestManPages(t *testing.T) {
	request := regexp.MustCompile(`(?m)^\.(\w+)?.*$`)
	meant := map[string]bool{"TH": true, "SH": true, "TP": true, "B": true, "BR": true, "nf": true, "fi": true}
	c := &cli{ui: newUI(&bytes.Buffer{}, &bytes.Buffer{})}
	all := pages(c.root())
	if len(all) < 15 {
		t.Errorf("%d pages", len(all))
	}
	for _, cmd := range all {
		page := manPage(cmd)
		for _, line := range request.FindAllStringSubmatch(page, -1) {
			if !meant[line[1]] {
				t.Errorf("%s: %s is a request", pageName(cmd), line[0])
			}
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if !strings.Contains(page, "\n.B \""+unread("--"+f.Name)) {
				t.Errorf("%s does not have --%s", pageName(cmd), f.Name)
			}
		})
		if strings.Contains(cmd.Long, exitsTitle) != strings.Contains(page, `.SH "EXIT STATUS"`) {
			t.Errorf("%s: the exit codes are lost, or made up", pageName(cmd))
		}
	}
}

// A page holds its own against hostile words.
func TestManPageOfAnything(t *testing.T) {
	cmd := &cobra.Command{Use: "x", Short: ".so /etc/passwd", Long: ".de B\n..\n\\X'ps: x'", Example: "  .ex\n  echo 'a'"}
	page := manPage(cmd)
	for _, line := range []string{`x \- .so /etc/passwd`, `\&.de B`, `\&..`, `\eX\(aqps: x\(aq`, `\&.ex`, `echo \(aqa\(aq`} {
		if !strings.Contains(page, "\n"+line+"\n") {
			t.Errorf("no line %s in\n%s", line, page)
		}
	}
}
