package main

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/control"
)

// unsetForInstance is what an operator's shell may have and an instance has not:
// its credentials and region come from IMDS.
const unsetForInstance = "unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_PROFILE AWS_REGION AWS_DEFAULT_REGION\n"

func (m *mock) launch() *cobra.Command {
	var o autoscaling.LaunchOptions
	var tags []string
	var userData string
	cmd := &cobra.Command{
		Use:   "launch",
		Short: "launch an instance and print its environment",
		Long:  "Launches an instance. Prints what to eval so that AWS SDKs take this shell for it, INSTANCE_ID included.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if o.Tags, err = parseTags(tags); err != nil {
				return err
			}
			if userData != "" {
				if o.UserData, err = os.ReadFile(userData); err != nil {
					return failure{err}
				}
			}
			return m.launchInstance(cmd, o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.Group, "group", "", "its Auto Scaling `GROUP`")
	flags.StringArrayVar(&tags, "tag", nil, "`KEY=VALUE`; may be repeated")
	flags.BoolVar(&o.Warm, "warm", false, "into the warm pool of its group")
	flags.BoolVar(&o.Spot, "spot", false, "a Spot instance")
	flags.BoolVar(&o.TagsOff, "tags-off", false, "IMDS shows no tags")
	flags.StringVar(&o.AZ, "az", "", "availability `ZONE` (default us-east-1a)")
	flags.StringVar(&userData, "user-data", "", "`FILE` with its user data")
	flags.StringVar(&o.IMDSAddr, "imds", "", "`IP:PORT` of its IMDS (default as serve --imds)")
	flags.DurationVar(&o.PendingFor, "pending-for", 0, "how long Pending lasts before the hook waits")
	flags.IntVar(&o.RaceCompletes, "race-completes", 0, "so many CompleteLifecycleActions fail first")
	flags.DurationVar(&o.IMDS.CredentialsAfter, "credentials-after", 0, "role credentials are 404 this long")
	return cmd
}

func (m *mock) launchInstance(cmd *cobra.Command, o autoscaling.LaunchOptions) error {
	var i control.Status
	if err := m.do(cmd, http.MethodPost, "instances", o, &i); err != nil {
		return err
	}
	_, err := fmt.Fprint(cmd.OutOrStdout(), unsetForInstance+exports(append(i.Env, "INSTANCE_ID="+i.ID)))
	return wrap(err)
}

func wrap(err error) error {
	if err == nil {
		return nil
	}
	return failure{err}
}

func parseTags(entries []string) (map[string]string, error) {
	tags := map[string]string{}
	for _, entry := range entries {
		key, value, ok := strings.Cut(entry, "=")
		if !ok || key == "" {
			return nil, fmt.Errorf("tag %q is not KEY=VALUE", entry)
		}
		tags[key] = value
	}
	return tags, nil
}

func instancePath(id string, more ...string) string {
	parts := []string{"instances", url.PathEscape(id)}
	for _, part := range more {
		parts = append(parts, url.PathEscape(part))
	}
	return strings.Join(parts, "/")
}

func (m *mock) tag() *cobra.Command {
	return &cobra.Command{
		Use: "tag ID KEY=VALUE...", Short: "set tags of an instance", Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			tags, err := parseTags(args[1:])
			if err != nil {
				return err
			}
			for key, value := range tags {
				if err := m.do(cmd, http.MethodPut, instancePath(args[0], "tags", key), value, nil); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func (m *mock) untag() *cobra.Command {
	return &cobra.Command{
		Use: "untag ID KEY...", Short: "remove tags of an instance", Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, key := range args[1:] {
				if err := m.do(cmd, http.MethodDelete, instancePath(args[0], "tags", key), nil, nil); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func (m *mock) state() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "state ID", Short: "print the lifecycle state of an instance", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if all {
				return m.show(cmd, instancePath(args[0]))
			}
			var i control.Status
			if err := m.do(cmd, http.MethodGet, instancePath(args[0]), nil, &i); err != nil {
				return err
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), i.State)
			return wrap(err)
		},
	}
	cmd.Flags().BoolVar(&all, "json", false, "print everything, results of lifecycle actions included")
	return cmd
}

// show prints what the mock answers as it is.
func (m *mock) show(cmd *cobra.Command, path string) error {
	var answer jsontext.Value
	if err := m.do(cmd, http.MethodGet, path, nil, &answer); err != nil {
		return err
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n", answer)
	return wrap(err)
}

func (m *mock) wait() *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use: "wait ID STATE", Short: "wait until an instance is in a state", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			query := url.Values{"state": {args[1]}, "timeout": {timeout.String()}}
			return m.do(cmd, http.MethodGet, instancePath(args[0])+"?"+query.Encode(), nil, nil)
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", time.Minute, "give up after this long")
	return cmd
}

func (m *mock) imds() *cobra.Command {
	return &cobra.Command{
		Use: "imds ID JSON", Short: "set all switches of an instance's IMDS", Args: cobra.ExactArgs(2),
		Example: `  koboshi-mock imds "$INSTANCE_ID" '{"spot_action":"terminate","spot_time":"2026-11-21T10:00:00Z"}'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return m.do(cmd, http.MethodPut, instancePath(args[0], "imds"), jsontext.Value(args[1]), nil)
		},
	}
}
