package main

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"

	"koboshi/agent/failure"
	"koboshi/artifacts/amis"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/store"
	"koboshi/systemd"
)

// The formats of ami-tags.
const (
	asTags          = "tags"
	asSpecification = "specification"
	asHCL           = "hcl"
	asHCLJSON       = "hcl-json"
	asJSON          = "json"
)

var tagFormats = []string{asTags, asSpecification, asHCL, asHCLJSON, asJSON}

func (c *cli) amiTags() *cobra.Command {
	format := asTags
	cmd := &cobra.Command{
		Use:   "ami-tags",
		Short: "print the tags of the AMI that is being built: what is baked into it",
		Long: "Print what koboshi prebake has recorded, as tags for the AMI: app, version, manifest, sequence and\n" +
			"channel, when that was baked, and the version of this agent. koboshi releases --amis reads them\n" +
			"again. The format is tags (for aws ec2 create-tags --tags), specification (for aws ec2 create-image\n" +
			"--tag-specifications), json (a list, for --tags file://FILE), hcl or hcl-json (variables of Packer\n" +
			"or Terraform: a map ami_tags). Tags of another app than that of koboshi.toml have the name of its\n" +
			"configuration between: koboshi:NAME:version." +
			exits(failure.OK, failure.Usage, failure.Configuration, failure.Resolve, failure.Untrusted, failure.Disk),
		Example: "  aws ec2 create-tags --resources \"$AMI\" --tags $(koboshi ami-tags)\n  koboshi ami-tags --format hcl >web.auto.pkrvars.hcl",
		GroupID: forImage,
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return c.runAMITags(format) },
	}
	cmd.Flags().StringVar(&format, "format", format, "`one` of "+strings.Join(tagFormats, ", "))
	return cmd
}

func (c *cli) runAMITags(format string) error {
	if !slices.Contains(tagFormats, format) {
		return usage(fmt.Errorf("--format %q, want one of %s", format, strings.Join(tagFormats, ", ")))
	}
	name, err := appName(c.configFile)
	if err != nil {
		return err
	}
	if name == systemd.FirstApp {
		name = ""
	}
	carried, err := c.carried()
	if err != nil {
		return err
	}
	carried.Name = name
	tags := carried.Tags()
	switch format {
	case asTags:
		c.ui.printf("%s\n", strings.Join(eachTag(tags, "Key=%s,Value=%s"), " "))
	case asSpecification:
		c.ui.printf("ResourceType=image,Tags=[%s]\n", strings.Join(eachTag(tags, "{Key=%s,Value=%s}"), ","))
	case asHCL:
		c.ui.printf("ami_tags = {\n%s\n}\n", strings.Join(eachTag(tags, "  %q = %q"), "\n"))
	case asHCLJSON:
		return c.ui.printJSON(map[string]tagMap{"ami_tags": tags})
	default:
		return c.ui.printJSON(tags)
	}
	return nil
}

// eachTag writes keys and values that were checked: letters, digits and some characters
// that mean nothing to a shell, to the AWS CLI, or between double quotes.
func eachTag(tags []amis.Tag, format string) (all []string) {
	for _, t := range tags {
		all = append(all, fmt.Sprintf(format, t.Key, t.Value))
	}
	return all
}

// tagMap is tags as a JSON object, in their order.
type tagMap []amis.Tag

// MarshalJSON implements json.Marshaler.
func (m tagMap) MarshalJSON() ([]byte, error) {
	object := map[string]string{}
	for _, t := range m {
		object[t.Key] = t.Value
	}
	return json.Marshal(object, json.Deterministic(true))
}

// carried is what the image carries: the current release, and the pointer that was seen
// last on the way to it.
func (c *cli) carried() (baked amis.Carried, err error) {
	const bake = "koboshi prebake bakes what the channel points to"
	cfg, err := c.loadConfig()
	if err != nil {
		return baked, err
	}
	trust, err := loadTrust(cfg)
	if err != nil {
		return baked, err
	}
	s, err := store.OpenExisting(cfg.Install.Root, trust)
	if errors.Is(err, fs.ErrNotExist) {
		return baked, failure.WithHint(failure.Mark(fmt.Errorf("nothing is baked in: %w", err), bucket.ErrNotFound), bake)
	}
	if err != nil {
		return baked, err
	}
	defer func() { _ = s.Close() }() // only read
	rel, found, err := s.Current()
	if err != nil || !found {
		return baked, failure.WithHint(noCurrent(err), bake)
	}
	var last store.Sighting
	for _, on := range rel.Pointers() {
		if last.Pointer == nil || on.Seen.After(last.Seen) {
			last = on
		}
	}
	if last.Pointer == nil {
		return baked, failure.WithHint(failure.Mark(fmt.Errorf("no channel has pointed to %s when it was installed", rel.Version()), bucket.ErrNotFound), bake)
	}
	p := last.Pointer.Pointer()
	return amis.Carried{
		App: rel.App(), Version: rel.Version(), Manifest: rel.ManifestSHA256(), Sequence: p.Sequence, Channel: p.Channel, Baked: last.Seen, Agent: version,
	}, nil
}
