package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"koboshi/agent/failure"
)

// shells are those that completions are generated for.
var shells = []string{"bash", "zsh", "fish"}

func (c *cli) completion() *cobra.Command {
	want := "want " + list(shells, "or")
	return &cobra.Command{
		Use:   "completion " + strings.Join(shells, "|"),
		Short: "generate the completions of a shell",
		Long: "Generate the script with which a shell completes commands, flags, topics, channels and\n" +
			"versions. The packages bring it for all three." + exits(failure.OK, failure.Usage, failure.Disk),
		Example:   "  . <(koboshi completion bash)\n  koboshi completion fish >~/.config/fish/completions/koboshi.fish",
		GroupID:   forImage,
		ValidArgs: shells,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("completion: %s", want)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			root, out := cmd.Root(), cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(out, true)
			case "zsh":
				return root.GenZshCompletion(out)
			case "fish":
				return root.GenFishCompletion(out, true)
			}
			return usage(fmt.Errorf("completion %s: %s", beginning(args[0]), want))
		},
	}
}
