package main

import (
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// cobra knows which flags a command needs and which exclude each other, so that
// completions follow it. The errors are made here, before cobra makes its own.

// required marks flags without which a command makes no sense.
func required(cmd *cobra.Command, flags ...string) *cobra.Command {
	for _, name := range flags {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err) // the flag is not defined: a mistake in this file
		}
	}
	return cmd
}

// missing is the error of required flags that were not given.
func missing(cmd *cobra.Command, _ []string) error {
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if needed := f.Annotations[cobra.BashCompOneRequiredFlag]; len(needed) == 1 && needed[0] == "true" && !f.Changed {
			names = append(names, "--"+f.Name)
		}
	})
	switch len(names) {
	case 0:
		return nil
	case 1:
		return errors.New(names[0] + " is missing")
	}
	return errors.New(list(names, "and") + " are missing")
}

// oneOf marks flags of which at most one may be given, or exactly one.
func oneOf(cmd *cobra.Command, exactly bool, flags ...string) {
	cmd.MarkFlagsMutuallyExclusive(flags...)
	if exactly {
		cmd.MarkFlagsOneRequired(flags...)
	}
	alsoCheck(cmd, func(cmd *cobra.Command) error {
		switch given := given(cmd, flags); {
		case len(given) > 1:
			return errors.New(list(given, "and") + " cannot be combined")
		case exactly && len(given) == 0:
			return errors.New("want " + list(spelled(flags), "or"))
		}
		return nil
	})
}

// alsoCheck adds a check of a command's flags to those that it has.
func alsoCheck(cmd *cobra.Command, check func(*cobra.Command) error) {
	before := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if before != nil {
			if err := before(cmd, args); err != nil {
				return err
			}
		}
		return check(cmd)
	}
}

// excludes marks a flag that cannot be combined with any of the others.
func excludes(cmd *cobra.Command, flag string, others ...string) {
	for _, other := range others {
		cmd.MarkFlagsMutuallyExclusive(flag, other)
	}
	alsoCheck(cmd, func(cmd *cobra.Command) error {
		if given := given(cmd, others); cmd.Flags().Changed(flag) && len(given) > 0 {
			return errors.New(list(append(spelled([]string{flag}), given...), "and") + " cannot be combined")
		}
		return nil
	})
}

// given are those of the flags that the caller has set, as they are spelled.
func given(cmd *cobra.Command, flags []string) []string {
	return spelled(slices.DeleteFunc(slices.Clone(flags), func(name string) bool { return !cmd.Flags().Changed(name) }))
}

func spelled(flags []string) (all []string) {
	for _, name := range flags {
		all = append(all, "--"+name)
	}
	return all
}

// oneArgument refuses everything but one argument, which is called name.
func oneArgument(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return errors.New("want one " + name + ": " + cmd.UseLine())
		}
		return nil
	}
}

// list joins two words or more: "a, b and c".
func list(words []string, last string) string {
	if len(words) == 1 {
		return words[0]
	}
	n := len(words) - 1
	return strings.Join(words[:n], ", ") + " " + last + " " + words[n]
}
