//go:build man

package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"
)

// Every command that help lists has a page, with its exit codes and flags.
func TestManPages(t *testing.T) {
	dir := t.TempDir()
	if err := writeManPages(dir); err != nil {
		t.Fatal(err)
	}
	c := &cli{ui: newUI(io.Discard, io.Discard)}
	root := c.root()
	if n := checkPages(t, dir, root); n < 20 {
		t.Errorf("%d pages", n)
	}
}

func checkPages(t *testing.T, dir string, cmd *cobra.Command) int {
	t.Helper()
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Error(err)
	}
	page := strings.ReplaceAll(string(data), `\`, "")
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !strings.Contains(page, "fB--"+f.Name+"fP") {
			t.Errorf("%s does not have --%s", name, f.Name)
		}
	})
	if strings.Contains(cmd.Long, exitsTitle) != strings.Contains(page, ".SH EXIT STATUS\n.TP\n0\nok\n") {
		t.Errorf("%s: the exit codes are missing, or made up", name)
	}
	n := 1
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			n += checkPages(t, dir, sub)
		}
	}
	return n
}

// What help texts say arrives in the page as it was, whatever Markdown or roff
// would make of it.
func TestManPageIsLiteral(t *testing.T) {
	cmd := &cobra.Command{
		Use: "x", Short: "write *.log to <run>/env", Run: func(*cobra.Command, []string) {},
		Long: "Uses a_b_c and [x](y), # 1 & `code`.\n.so /etc/passwd\nThen:\n  koboshi  one\n  koboshi  two" + exitsTitle + "  0    ok <now>",
	}
	cmd.Flags().String("out", "", "`DIR` for <app>_x_y.log")
	prepare(cmd)
	var page strings.Builder
	if err := doc.GenMan(cmd, nil, &page); err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer(`\-`, "-", `\&`, "", `\fB`, "", `\fR`, "", `\fP`, "").Replace(page.String())
	for _, want := range []string{
		"write *.log to <run>/env", "Uses a_b_c and [x](y), # 1 & `code`.", ".so /etc/passwd", "koboshi  one\nkoboshi  two", "0\nok <now>", "DIR for <app>_x_y.log",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, page.String())
		}
	}
	if strings.Contains(page.String(), "\n.so") {
		t.Error("a line of text became a request")
	}
}
