//go:build man

// Built with the tag "man", this is the generator of the manual pages, for those
// who build packages: koboshi DIR. The binary that ships has neither it nor what
// it imports. SOURCE_DATE_EPOCH is the pages' date.
package main

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: koboshi DIR")
		os.Exit(2)
	}
	if err := writeManPages(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "man:", err)
		os.Exit(1)
	}
}

// writeManPages writes DIR/koboshi.1, and a page for every command that help lists.
func writeManPages(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	c := &cli{ui: newUI(io.Discard, io.Discard)}
	root := c.root()
	root.DisableAutoGenTag = true // it has a date of its own
	root.Flags().Lookup("version").Hidden = false
	prepare(root)
	return doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "koboshi " + version, Manual: "koboshi"}, dir)
}

// prepare makes Markdown, which cobra's generator takes, of the help texts,
// which are plain: without it <run>/env is read as HTML, and a list as prose.
func prepare(cmd *cobra.Command) {
	text, codes, _ := strings.Cut(cmd.Long, exitsTitle)
	cmd.Long = markdown(text)
	if codes != "" {
		cmd.Long += "\n\n# EXIT STATUS\n" + codeList(codes)
	}
	cmd.Short = escape(cmd.Short)
	cmd.Example = strings.TrimPrefix(strings.ReplaceAll(cmd.Example, "\n  ", "\n"), "  ")
	cmd.LocalNonPersistentFlags().VisitAll(prepareFlag)
	cmd.PersistentFlags().VisitAll(prepareFlag)
	for _, sub := range cmd.Commands() {
		prepare(sub)
	}
}

// prepareFlag leaves the quotes around the value's name, which print it in bold.
func prepareFlag(f *pflag.Flag) { f.Usage = strings.ReplaceAll(escape(f.Usage), "\\`", "`") }

// markdown keeps indented lines as they are, and lets the others be filled.
func markdown(text string) string {
	var b strings.Builder
	indented := false
	for line := range strings.SplitSeq(text, "\n") {
		if now := strings.HasPrefix(line, "  "); now != indented {
			b.WriteString("\n")
			indented = now
		}
		if indented {
			b.WriteString("    " + strings.TrimPrefix(line, "  ") + "\n")
		} else {
			b.WriteString(escape(line) + "\n")
		}
	}
	return strings.TrimSpace(b.String())
}

// codeList takes the lines that exits has written.
func codeList(codes string) string {
	var b strings.Builder
	for line := range strings.Lines(codes) {
		code, meaning, _ := strings.Cut(strings.TrimSpace(line), " ")
		fmt.Fprintf(&b, "%s\n: %s\n\n", code, escape(strings.TrimSpace(meaning)))
	}
	return b.String()
}

var special = regexp.MustCompile("[\\\\`*_{}\\[\\]()#+!|&<>~]")

// escape lets Markdown take every character literally.
func escape(text string) string { return special.ReplaceAllString(text, `\$0`) }
