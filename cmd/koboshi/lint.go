package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"koboshi/agent/failure"
	"koboshi/agent/report"
	"koboshi/artifacts/lint"
	"koboshi/artifacts/publish"
	"koboshi/artifacts/tree"
)

func (c *cli) lint() *cobra.Command {
	var asJSON, strict bool
	var input inputFlags
	cmd := &cobra.Command{
		Use:   "lint PATH",
		Short: "check what is to be published, without a bucket",
		Long: "Check what is to be published, as publish does before it stores anything. An error is what\n" +
			"every instance would refuse; a warning is what an app stumbles over, or what was hardly meant\n" +
			"to be published. --json is an array of {level, check, path, text, hint} with all of them; level\n" +
			"is error or warning, and the names of the checks are stable:\n\n  " + wrap(strings.Join(lint.Names(), " "), 2, 90) +
			exits(failure.OK, failure.Found, failure.Usage, failure.Archive, failure.Disk, failure.Interrupted),
		Example: "  koboshi lint ./dist\n  koboshi lint --strict --json ./dist",
		GroupID: releaseSide,
		Args:    oneArgument("PATH"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.runLint(cmd.Context(), args[0], input, asJSON, strict)
		},
	}
	input.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the findings as JSON")
	cmd.Flags().BoolVar(&strict, "strict", false, "exit with 1 for warnings, too")
	return cmd
}

func (c *cli) runLint(ctx context.Context, path string, input inputFlags, asJSON, strict bool) (err error) {
	in, err := c.read(ctx, path, input.options(""))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	findings := in.Findings()
	if asJSON {
		if err := c.ui.printJSON(append([]lint.Finding{}, findings...)); err != nil {
			return err
		}
	} else {
		c.ui.listLint(findings)
	}
	return notClean(findings, strict)
}

// inputFlags say what of a path is published.
type inputFlags struct {
	strip   int
	exclude []string
	name    string
	times   bool
	bundle  bool // of CodeDeploy
}

func (f *inputFlags) add(cmd *cobra.Command) {
	cmd.Flags().IntVar(&f.strip, "strip-components", 0, "take `N` folders off the front of every path, as tar does")
	cmd.Flags().StringArrayVar(&f.exclude, "exclude", nil, "leave out what matches this `GLOB`, as in "+publish.IgnoreFile+"; repeat it for several")
	cmd.Flags().BoolVar(&f.bundle, "codedeploy", false, "it is a CodeDeploy bundle: scripts in its appspec.yml become hooks")
	cmd.Flags().BoolVar(&f.times, "keep-times", false, "files on instances have the times that they have here; default: the release's own")
	cmd.Flags().StringVar(&f.name, "name", "", "what a single file is called in the release; default: the app")
}

func (f *inputFlags) options(app string) publish.Options {
	return publish.Options{App: app, Name: f.name, Strip: f.strip, Exclude: f.exclude, KeepTimes: f.times, CodeDeploy: f.bundle}
}

// read opens what is to be published.
func (c *cli) read(ctx context.Context, path string, opt publish.Options) (*publish.Input, error) {
	if opt.Strip < 0 {
		return nil, usage(errors.New("--strip-components: want 0 or more"))
	}
	opt.Progress = c.ui.transfer("pack " + filepath.Base(path))
	in, err := publish.Read(ctx, path, opt)
	c.ui.clear()
	if _, statErr := os.Stat(path); err != nil && statErr != nil {
		err = unreadable(path, statErr)
	}
	if refused, ok := errors.AsType[*tree.RefusedError](err); ok {
		err = failure.WithHint(err, cmp.Or(refused.Remedy, "make the archive again, or give the directory that it was made of")+"; nothing was stored")
	}
	return in, ofTemp(ofCaller(err))
}

// ofTemp gives an error of the directory for temporary files a hint of its own.
func ofTemp(err error) error {
	temp := filepath.Clean(os.TempDir())
	path, ok := errors.AsType[*fs.PathError](err)
	if !ok || filepath.Dir(path.Path) != temp || !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, syscall.ENOTDIR) {
		return err
	}
	return failure.WithHint(err, "a release is packed in $TMPDIR, without it in /tmp: "+temp+" has to be a directory that you may write")
}

// ofCaller marks errors without a class of their own as usage errors: a path that
// cannot be read, or no such platform. A signal is none.
func ofCaller(err error) error {
	if failure.CodeOf(err) == failure.Internal && !errors.Is(err, context.Canceled) {
		return usage(err)
	}
	return err
}

// notClean is the error where a check found an error, or with strict anything.
func notClean(findings []lint.Finding, strict bool) error {
	if lint.Refused(findings) == nil && (!strict || len(findings) == 0) {
		return nil
	}
	return failure.Mark(summed(findings), failure.ErrFound)
}

// summed counts findings.
func summed(findings []lint.Finding) error {
	n := map[lint.Level]int{}
	for _, f := range findings {
		n[f.Level]++
	}
	return fmt.Errorf("%s, %s", count(n[lint.Error], "error", "errors"), count(n[lint.Warning], "warning", "warnings"))
}

// alike are findings with one hint.
type alike struct {
	lint.Finding // the first
	texts        []string
	more         int // that are not in texts
}

// grouped shows of each kind as many warnings as most, and every error.
func grouped(findings []lint.Finding, most int) (groups []*alike) {
	for _, f := range findings {
		var last *alike
		if len(groups) > 0 {
			last = groups[len(groups)-1]
		}
		if last == nil || last.Level != f.Level || last.Check != f.Check || last.Hint != f.Hint {
			last = &alike{Finding: f}
			groups = append(groups, last)
		}
		if f.Level == lint.Warning && len(last.texts) == most {
			last.more++
			continue
		}
		text := f.Text
		if f.Path != "" {
			text = fmt.Sprintf("%q %s", f.Path, f.Text)
		}
		last.texts = append(last.texts, report.Clean(text, report.MaxText))
	}
	return groups
}

// listLint prints a line for each finding, and a hint beneath those that have it
// in common.
func (u *ui) listLint(findings []lint.Finding) {
	const most, indent = 5, 22
	paints := map[lint.Level]paint{lint.Error: red, lint.Warning: yellow}
	inColour, width := u.colour && isTerminal(u.out), columns(u.out)
	for _, g := range grouped(findings, most) {
		level := fmt.Sprintf("%-7s", g.Level)
		if inColour {
			level = u.paint(paints[g.Level], level)
		}
		for _, text := range g.texts {
			u.printf("%s  %-11s  %s\n", level, g.Check, wrap(text, indent, width))
		}
		if g.more > 0 {
			u.printf("%*sand %d more: --json has all of them\n", indent, "", g.more)
		}
		u.printf("%*s%s\n", indent, "", wrap("hint: "+report.Clean(g.Hint, report.MaxText), indent, width))
	}
}

// lint writes findings about something that is being published.
func (u *ui) lint(findings []lint.Finding) {
	const most = 3
	for _, g := range grouped(findings, most) {
		level := u.warn
		if g.Level == lint.Error {
			level = func(text string) { u.tell(asError, "%s %s", u.paint(red, "error:"), text) }
		}
		for _, text := range g.texts {
			level(text)
		}
		if g.more > 0 {
			level(fmt.Sprintf("and %d more (%s): koboshi lint --json lists all of them", g.more, g.Check))
		}
		if u.log == nil {
			u.tell(asWarning, "%s %s", u.paint(yellow, "hint:"), report.Clean(g.Hint, report.MaxText))
		}
	}
}
