package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"koboshi/agent/failure"
	"koboshi/artifacts"
	"koboshi/cmd/koboshi/help"
)

// help shows a topic of the documentation, the help of a command, or without an
// argument the list of both. Where a name is both, the topic wins.
func (c *cli) help() *cobra.Command {
	return &cobra.Command{
		Use:     "help [TOPIC | COMMAND]",
		Short:   "show a topic of the documentation, or the help of a command",
		Long:    "Show a topic of the documentation, or the help of a command; without an argument, list both.\nAt a terminal a topic is formatted; in a pipe it is Markdown." + exits(failure.OK, failure.Usage),
		Example: "  koboshi help oncall\n  koboshi help configuration | less",
		GroupID: forImage,
		RunE: func(cmd *cobra.Command, args []string) error {
			name := strings.Join(args, " ")
			if topic, found := help.Find(name); found {
				c.ui.topic(topic)
				return nil
			}
			about, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return usage(unknownTopic(cmd.Root(), name))
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
		ValidArgsFunction: helpArguments,
	}
}

// unknownTopic is the error of a name that is neither a topic nor a command.
func unknownTopic(root *cobra.Command, name string) error {
	err := fmt.Errorf("no help on %q", name)
	var names []string
	for _, topic := range help.Topics() {
		names = append(names, topic.Name)
	}
	for _, cmd := range root.Commands() {
		if cmd.IsAvailableCommand() {
			names = append(names, cmd.Name())
		}
	}
	if near, found := artifacts.Nearest(name, names); found {
		return failure.WithHint(err, "did you mean koboshi help "+near+"?")
	}
	return failure.WithHint(err, "koboshi help lists topics and commands")
}

// helpArguments completes topics and commands, each with its line.
func helpArguments(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	about, rest, err := cmd.Root().Find(args)
	if err != nil || len(rest) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var offers []string
	offer := func(name, line string) {
		if strings.HasPrefix(name, typed) {
			offers = append(offers, cobra.CompletionWithDesc(name, line))
		}
	}
	if len(args) == 0 {
		for _, topic := range help.Topics() {
			offer(topic.Name, topic.Summary)
		}
	}
	for _, sub := range about.Commands() {
		if sub.IsAvailableCommand() {
			offer(sub.Name(), sub.Short)
		}
	}
	return offers, cobra.ShellCompDirectiveNoFileComp
}

// topic prints a page: formatted at a terminal, as it is elsewhere.
func (u *ui) topic(t help.Topic) {
	if !isTerminal(u.out) {
		u.printf("%s", t.Text)
		return
	}
	u.printf("%s", help.Render(t.Text, u.width(), !noColour()))
}

// overview is the help of koboshi itself: the commands of operators come first.
func overview(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString(root.Long + "\n")
	for _, group := range root.Groups() {
		b.WriteString("\n" + group.Title + "\n")
		for _, cmd := range root.Commands() {
			if cmd.GroupID == group.ID {
				fmt.Fprintf(&b, "  %-14s %s\n", cmd.Name(), cmd.Short)
			}
		}
	}
	b.WriteString("\nTopics, for koboshi help TOPIC:\n")
	for _, topic := range help.Topics() {
		fmt.Fprintf(&b, "  %-14s %s\n", topic.Name, topic.Summary)
	}
	b.WriteString("\nFlags of every command:\n" + root.LocalFlags().FlagUsages())
	b.WriteString("\nkoboshi COMMAND --help shows the flags and exit codes of a command.\nkoboshi --version prints this agent's version.\n")
	return b.String()
}

// setOverview makes overview the help of the root command; the commands keep
// cobra's.
func setOverview(root *cobra.Command) {
	ofCommand := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		if cmd != root {
			ofCommand(cmd, args)
			return
		}
		text := overview(root)
		if asked, _ := root.Flags().GetBool("version"); asked { // cobra's own way links text/template, 10 MB with all it keeps alive
			text = versionLine()
		}
		_, _ = fmt.Fprint(root.OutOrStdout(), text) // results notes an error
	})
}
