package main

import (
	"github.com/spf13/cobra"
)

// version is this agent's version, and that of the packages. Manifests may require a
// minimum. It rises with each release of koboshi, together with the newest heading of
// the changelog.
const version = "0.2.0"

const defaultConfig = "/etc/koboshi/koboshi.toml"

// cli is one invocation: the flags that every command has, and what it writes
// to.
type cli struct {
	ui         *ui
	configFile string
	logFormat  string
	started    bool // the arguments were understood and a command runs
}

func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "koboshi",
		Short:         "bring an instance to the release its channel points to",
		Long:          "koboshi brings an EC2 instance to the release that its channel points to, proven by\nsignature and hash, and completes the Auto Scaling lifecycle action when it is healthy.",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(nearestFlag)
	root.Flags().Bool("version", false, "print this agent's version, as koboshi version does")
	_ = root.Flags().MarkHidden("version") // it is no flag of every command; the overview has a line on it
	root.PersistentFlags().StringVar(&c.configFile, "config", defaultConfig, "configuration `file`, NAME.toml; drop-ins are read from NAME.d in the same directory")
	root.PersistentFlags().StringVar(&c.logFormat, "log-format", "", "`json` or console; default: for people at a terminal, console elsewhere")
	root.AddGroup(
		&cobra.Group{ID: onInstance, Title: "On the instance:"},
		&cobra.Group{ID: releaseSide, Title: "On the release side:"},
		&cobra.Group{ID: forImage, Title: "For the AMI:"},
	)
	root.AddCommand(
		c.boot(), c.sync(), c.rollback(), c.hold(), c.unhold(), c.status(), c.history(), c.verify(), c.doctor(), c.watch(), c.drain(), c.nodeID(),
		c.keygen(), c.lint(), c.publish(), c.sign(), c.promote(), c.releases(), c.fleet(), c.rollout(), c.guard(), c.refresh(),
		c.config(), c.install(), c.uninstall(), c.prebake(), c.amiTags(), c.iamPolicy(), c.completion(), c.version(),
	)
	root.CompletionOptions.DisableDefaultCmd = true // there is one of our own
	root.PersistentPreRunE = missing
	help := c.help()
	root.SetHelpCommand(help)
	root.AddCommand(help)
	setOverview(root)
	c.completions(root)
	c.wrap(root)
	return root
}

// wrap marks the moment from which an error is no longer one of usage: when
// arguments, flags and their combinations have been accepted.
func (c *cli) wrap(cmd *cobra.Command) {
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			c.started = true
			if err := c.ui.setLogFormat(c.logFormat); err != nil {
				return err
			}
			return run(cmd, args)
		}
	}
	for _, sub := range cmd.Commands() {
		c.wrap(sub)
	}
}

// The groups in which `koboshi --help` lists the commands.
const (
	onInstance  = "instance"
	releaseSide = "release"
	forImage    = "image"
)
