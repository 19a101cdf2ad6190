package main

import (
	"context"

	"github.com/spf13/cobra"

	"koboshi/agent/failure"
	"koboshi/systemd"
)

func (c *cli) uninstall() *cobra.Command {
	var o installOptions
	cmd := &cobra.Command{
		Use:   "uninstall",
		Short: "remove what install has put into place",
		Long: "Remove the binary, the units, and the link that enables them. Configuration, keys, releases\n" +
			"and state stay, and nothing is stopped. Doing it again changes nothing." +
			exits(failure.OK, failure.Usage, failure.Disk),
		Example: "  koboshi uninstall",
		GroupID: forImage,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.runUninstall(cmd.Context(), o) },
	}
	cmd.Flags().StringVar(&o.root, "root", "/", "`DIR` of the root file system to remove it from")
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

func (c *cli) runUninstall(ctx context.Context, o installOptions) error {
	i, err := openImage(o.root)
	if err != nil {
		return err
	}
	defer i.close()
	if err := i.uninstall(); err != nil {
		return err
	}
	c.reload(ctx, i)
	return c.tellChanges(i, o.json)
}

// uninstall goes the way of install back: first nothing starts it any more.
func (i *image) uninstall() error {
	dirs, err := systemd.WantsDirs(systemd.BootUnit)
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		if err := i.remove(systemd.UnitDir + "/" + dir + "/" + systemd.BootUnit); err != nil {
			return err
		}
	}
	if err := i.remove(dropIn); err != nil {
		return err
	}
	if err := i.removeProgram(); err != nil {
		return err
	}
	for _, dir := range []string{systemd.UnitDir + "/" + systemd.BootUnit + ".d", configDir + "/keys", configDir + "/koboshi.d", configDir} {
		if err := i.removeEmpty(dir); err != nil {
			return err
		}
	}
	return nil
}

func (i *image) removeProgram() error {
	err := eachUnit(func(name string) error { return i.remove(systemd.UnitDir + "/" + name) })
	if err != nil {
		return err
	}
	return i.remove(binary)
}
