package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// manPage is the manual page of one command, in the macros of man(7).
func manPage(cmd *cobra.Command) string {
	text, codes, _ := strings.Cut(cmd.Long, exitsTitle)
	var p roff
	p.macro("TH", strings.ToUpper(pageName(cmd)), "1", "", "koboshi "+version, "koboshi")
	p.macro("SH", "NAME")
	p.text(pageName(cmd) + " - " + cmd.Short)
	p.macro("SH", "SYNOPSIS")
	p.macro("B", cmd.UseLine())
	p.macro("SH", "DESCRIPTION")
	p.text(text)
	p.subcommands(cmd)
	p.options(cmd)
	p.exitStatus(codes)
	if cmd.Example != "" {
		p.macro("SH", "EXAMPLES")
		p.verbatim(cmd.Example)
	}
	p.seeAlso(cmd)
	return p.page.String()
}

// pageName is what man(1) is asked for, such as koboshi-config-check.
func pageName(cmd *cobra.Command) string {
	return strings.ReplaceAll(cmd.CommandPath(), " ", "-")
}

// roff is a page while it is written.
type roff struct{ page strings.Builder }

// line writes one line; a builder takes everything.
func (p *roff) line(s string) { _, _ = p.page.WriteString(s + "\n") }

// macro writes a request with its arguments, each in quotes.
func (p *roff) macro(name string, args ...string) {
	request := "." + name
	for _, arg := range args {
		request += ` "` + quotable(arg) + `"`
	}
	p.line(request)
}

// text writes lines that roff fills.
func (p *roff) text(s string) {
	for line := range strings.SplitSeq(strings.TrimSpace(s), "\n") {
		p.line(unread(strings.TrimSpace(line)))
	}
}

// verbatim writes lines that stay as they are, but for a common indent.
func (p *roff) verbatim(s string) {
	p.macro("nf")
	for line := range strings.SplitSeq(s, "\n") {
		p.line(unread(strings.TrimPrefix(line, "  ")))
	}
	p.macro("fi")
}

// item writes a term and what is to be said of it.
func (p *roff) item(term, text string) {
	p.macro("TP")
	p.macro("B", term)
	p.text(text)
}

func (p *roff) subcommands(cmd *cobra.Command) {
	subs := pages(cmd)[1:]
	if len(subs) == 0 {
		return
	}
	p.macro("SH", "COMMANDS")
	for _, sub := range subs {
		p.item(sub.CommandPath(), sub.Short)
	}
}

func (p *roff) options(cmd *cobra.Command) {
	p.macro("SH", "OPTIONS")
	flag := func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" && f.DefValue != "0s" {
			usage += " (default " + f.DefValue + ")"
		}
		p.item(strings.TrimSpace("--"+f.Name+" "+value), usage)
	}
	cmd.NonInheritedFlags().VisitAll(flag)
	cmd.InheritedFlags().VisitAll(flag)
}

// exitStatus takes the lines that exits has written.
func (p *roff) exitStatus(codes string) {
	if codes == "" {
		return
	}
	p.macro("SH", "EXIT STATUS")
	for line := range strings.Lines(codes) {
		code, meaning, _ := strings.Cut(strings.TrimSpace(line), " ")
		p.item(code, meaning)
	}
}

func (p *roff) seeAlso(cmd *cobra.Command) {
	p.macro("SH", "SEE ALSO")
	if cmd.HasParent() {
		p.macro("BR", pageName(cmd.Root()), "(1)")
		return
	}
	p.macro("BR", "systemctl", "(1),")
	p.macro("BR", "journalctl", "(1)")
}

// unread keeps roff from reading a line as anything but text: no escapes, no
// requests, and characters that can be copied into a shell.
func unread(line string) string {
	line = plain.Replace(line)
	if strings.HasPrefix(line, ".") {
		return `\&` + line
	}
	return line
}

// plain spells what roff would else set as typographic characters.
var plain = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`)

// quotable is unread for a macro's argument between quotes.
func quotable(arg string) string {
	return strings.ReplaceAll(unread(arg), `"`, `\(dq`)
}
