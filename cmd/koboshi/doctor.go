package main

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"koboshi/agent/doctor"
	"koboshi/agent/failure"
	"koboshi/agent/instance"
	"koboshi/agent/service"
)

func (c *cli) doctor() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "explain the last verdict, and test what the next run will need",
		Long: "Explain how the last run ended, and try what the next one will need: metadata,\n" +
			"credentials, clock, bucket, signatures, disk, systemd, lifecycle hooks and permissions, and\n" +
			"what a drain waits for.\n" +
			"Nothing is changed; where a lifecycle action waits for this instance its timeout begins anew.\n" +
			"What is unreachable is reported within seconds. --json is an array of {check, level, text,\n" +
			"hint}: level is ok, warn or fail, hint is left out where there is none. Without --config, or\n" +
			"where it names a directory, all apps are examined that are configured there; if there are\n" +
			"several, each finding of --json has the member config. A check may come several times; their\n" +
			"names are stable:\n\n  " + wrap(strings.Join(doctor.Names(), " "), 2, 90) + exits(failure.OK, failure.Found, failure.Usage, failure.Configuration, failure.Interrupted),
		Example: "  koboshi doctor\n  koboshi doctor --json | jq -r '.[] | select(.level == \"fail\") | .text'",
		GroupID: onInstance,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.runDoctor(cmd.Context(), c.chosenApps(cmd), asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the findings as JSON")
	return cmd
}

func (c *cli) runDoctor(ctx context.Context, apps []string, asJSON bool) error {
	var all []doctor.Finding
	for i, file := range apps {
		c.configFile = file
		findings, err := c.examine(ctx, len(apps) > 1)
		if err != nil {
			return err
		}
		all = append(all, findings...)
		if asJSON {
			continue
		}
		if len(apps) > 1 {
			c.ui.printf("%s%s\n", strings.Repeat("\n", min(i, 1)), file)
		}
		c.ui.listFindings(findings)
	}
	if asJSON {
		if err := c.ui.printJSON(all); err != nil {
			return err
		}
	}
	if doctor.Failed(all) {
		return failure.Mark(fmt.Errorf("%s", counted(all)), failure.ErrFound)
	}
	return nil
}

// examine examines one app. As one of several it is a finding where its
// configuration cannot be used.
func (c *cli) examine(ctx context.Context, oneOfSeveral bool) ([]doctor.Finding, error) {
	machine, err := c.examined()
	if err != nil && !oneOfSeveral {
		return nil, err
	}
	var findings []doctor.Finding
	if err != nil {
		e := failure.Explain(err)
		findings = []doctor.Finding{{Check: "apps", Level: doctor.Fail, Text: e.Message, Hint: e.Hint}}
	} else {
		findings = machine.Examine(ctx)
	}
	if oneOfSeveral {
		for i := range findings {
			findings[i].Config = c.configFile
		}
	}
	return findings, ctx.Err()
}

// metadataPatience is long enough for a read of the metadata to fail with its
// reason.
const metadataPatience = doctor.Limit - time.Second

// examined is this machine for doctor. Nothing is read yet.
func (c *cli) examined() (m doctor.Machine, err error) {
	cfg, err := c.loadConfig()
	if err != nil {
		return m, err
	}
	trust, err := loadTrust(cfg)
	if err != nil {
		return m, err
	}
	metadata := instance.New(instance.Options{Patience: metadataPatience})
	m = doctor.Machine{
		Config: cfg, Others: c.neighbours(cfg), BootUnit: c.bootUnit(), Agent: version, OS: runtime.GOOS, Arch: runtime.GOARCH, Trust: trust, Now: time.Now(),
		Metadata: metadata,
		Connect: func(ctx context.Context, who instance.Identity) (doctor.Cloud, error) {
			return examineCloud(ctx, cfg, metadata, who)
		},
	}
	app := service.New(cfg, c.ui.hookLine)
	m.Here(app)
	shippers, err := flushers(app)(cfg)
	if err != nil {
		return m, err
	}
	for _, f := range shippers {
		m.Flushers = append(m.Flushers, f)
	}
	m.Keys, m.Promoters, err = trustedKeys(cfg)
	return m, err
}

// listFindings prints a line for each finding, and its hint beneath it.
func (u *ui) listFindings(findings []doctor.Finding) {
	paints := map[doctor.Level]paint{doctor.OK: green, doctor.Warn: yellow, doctor.Fail: red}
	inColour, width := u.colour && isTerminal(u.out), columns(u.out)
	for _, f := range findings {
		level := fmt.Sprintf("%-4s", f.Level)
		if inColour {
			level = u.paint(paints[f.Level], level)
		}
		u.printf("%s  %-14s  %s\n", level, f.Check, wrap(f.Text, 22, width))
		if f.Hint != "" {
			u.printf("%22s%s\n", "", wrap("hint: "+f.Hint, 22, width))
		}
	}
}

// counted is the summary of findings that have a failure among them.
func counted(findings []doctor.Finding) string {
	n := map[doctor.Level]int{}
	for _, f := range findings {
		n[f.Level]++
	}
	return fmt.Sprintf("%d failed, %s, %d ok", n[doctor.Fail], count(n[doctor.Warn], "warning", "warnings"), n[doctor.OK])
}
