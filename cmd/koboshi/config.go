package main

import (
	"fmt"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"koboshi/agent/config"
	"koboshi/agent/failure"
	"koboshi/agent/report"
)

func (c *cli) config() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "config",
		Short:   "check or show the configuration",
		Long:    "Check the configuration files, or show what is in effect and where each value comes from.",
		GroupID: forImage,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return usage(fmt.Errorf("config: want check or show"))
		},
	}
	cmd.AddCommand(c.configCheck(), c.configShow())
	return cmd
}

func (c *cli) configCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "read the configuration and the trusted keys, and report errors",
		Long: "Read the configuration and the trusted keys, and report errors. In /etc/koboshi it is also\n" +
			"compared with the configurations of other apps: what two of them cannot share is an error." + exits(failure.OK, failure.Usage, failure.Configuration),
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			cfg, err := c.loadConfig()
			if err != nil {
				return err
			}
			if _, err := loadTrust(cfg); err != nil {
				return err
			}
			if err := c.checkNeighbours(cfg, true); err != nil {
				return err
			}
			c.ui.printf("%s: ok, app %s, channel %s\n", c.configFile, cfg.App, cfg.Channel)
			return nil
		},
	}
}

func (c *cli) configShow() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show",
		Short: "print the effective configuration, each value with its origin",
		Long:  "Print the effective configuration as TOML, each value with its origin. The\ninstance's tags are not read." + exits(failure.OK, failure.Usage, failure.Configuration),
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			cfg, err := c.loadConfig()
			if err != nil {
				return err
			}
			if asJSON {
				return c.ui.printJSON(settingsJSON(cfg))
			}
			return c.showSettings(cfg)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// showSettings prints a setting a line, which is TOML; at a terminal lines are
// broken where they would not fit.
func (c *cli) showSettings(cfg *config.Config) error {
	if width := columns(c.ui.out); width > 0 {
		c.ui.settings(cfg.Settings(), width)
		return nil
	}
	w := tabwriter.NewWriter(c.ui.out, 0, 0, 2, ' ', 0)
	for _, s := range cfg.Settings() {
		if _, err := fmt.Fprintf(w, "%s = %s\t# %s\n", s.Key, report.Redact(s.Value), s.Origin); err != nil {
			return err
		}
	}
	return w.Flush()
}

// minSetting is the least width of the settings' own column, whatever their
// origins need.
const minSetting = 30

// settings prints for a terminal: all origins stand in one column, below a
// setting that reaches it.
func (u *ui) settings(all []config.Setting, width int) {
	room := 0
	for _, s := range all {
		room = max(room, len(s.Origin.String()))
	}
	column := max(minSetting, width-room-len("# ")-1)
	for _, s := range all {
		line, origin := wrap(s.Key+" = "+report.Redact(s.Value), 4, width), "# "+s.Origin.String()
		if used := utf8.RuneCountInString(line); used+2 <= column {
			u.printf("%s%*s%s\n", line, column-used, "", origin)
			continue
		}
		u.printf("%s\n%*s%s\n", line, column, "", origin)
	}
}

type settingJSON struct {
	Key    string `json:"key"`
	Value  string `json:"value"` // as TOML spells it
	Origin string `json:"origin"`
}

func settingsJSON(cfg *config.Config) []settingJSON {
	var out []settingJSON
	for _, s := range cfg.Settings() {
		out = append(out, settingJSON{s.Key, report.Redact(s.Value), s.Origin.String()})
	}
	return out
}
