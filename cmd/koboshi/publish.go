package main

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"koboshi/agent/failure"
	"koboshi/agent/report"
	"koboshi/artifacts"
	"koboshi/artifacts/bucket/s3"
	"koboshi/artifacts/lint"
	"koboshi/artifacts/publish"
	"koboshi/artifacts/tree"
)

// defaultPlatform is what a bare PATH is published for.
const defaultPlatform = "linux/amd64"

type publishOptions struct {
	releaseFlags
	version, minAgent string
	platforms         []string // os/arch=PATH
	behaviour         behaviour
	bases, trust      []string
	input             inputFlags
	strict            bool
	images            []string // kinds of images to publish beside the tree
	chunkList         bool
}

func (c *cli) publish() *cobra.Command {
	var o publishOptions
	cmd := &cobra.Command{
		Use:   "publish --source S --app A --version V --key FILE... PATH | --platform os/arch=PATH...",
		Short: "publish a release: artifacts, then the signed manifest",
		Long: "Publish a release. PATH is a directory, an archive (tar, tar.gz, tar.xz, tar.bz2, tar.zst or\n" +
			"zip) or any other file, such as an executable or a jar, which then is the release; a bare\n" +
			"PATH is for " + defaultPlatform + ". A .erofs or .squashfs is an image, which instances may mount beside or\n" +
			"in place of a tree. A release never changes: the same version with the same bytes is a\n" +
			"success, with other bytes an error. A publish that broke off can be repeated. Hooks and the\n" +
			"health command are programs in the tree of every platform, and run as the app's user.\n" +
			"With --base a delta from that release is published too; sync uses it where that is installed." +
			releaseExits(failure.Archive, failure.Disk, failure.Deadline, failure.Interrupted),
		Example: "  koboshi publish --source s3://acme-releases/apps --app web --version 1.4.2 --key release.key ./dist\n" +
			"  koboshi publish --source s3://acme-releases/apps --app web --version 1.4.2 --key release.key \\\n" +
			"      --platform linux/amd64=./dist-amd64 --platform linux/arm64=./dist-arm64\n" +
			"  koboshi publish --source s3://acme-releases/apps --app web --version 1.4.2 --key release.key \\\n" +
			"      --hook pre_start=\"bin/migrate --expand\" --health bake=30s ./dist",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, path := range args {
				o.platforms = append(o.platforms, defaultPlatform+"="+path)
			}
			return c.runPublish(cmd.Context(), o)
		},
	}
	cmd.Flags().StringVar(&o.version, "version", "", "the release's `version`; opaque, never ordered")
	cmd.Flags().StringArrayVar(&o.platforms, "platform", nil, "`os/arch=PATH`; repeat it for every platform")
	cmd.Flags().StringArrayVar(&o.images, "image", nil, "publish an image of this `KIND` ("+strings.Join(publish.ImageKinds(), ", ")+") beside the tree, for instances to mount")
	cmd.Flags().StringVar(&o.minAgent, "min-agent", "", "lowest `version` of koboshi that may install it")
	cmd.Flags().BoolVar(&o.chunkList, "chunk-list", false, "store the hashes of the artifact's chunks in an object of their own, not in the manifest; done anyway where a key cannot sign that many")
	o.behaviour.add(cmd)
	o.addBases(cmd)
	o.input.add(cmd)
	cmd.Flags().BoolVar(&o.strict, "strict", false, "publish nothing that koboshi lint warns of")
	return required(o.addSigning(cmd), "version")
}

func (c *cli) runPublish(ctx context.Context, o publishOptions) (err error) {
	if err := artifacts.CheckVersion(o.version); err != nil {
		return usage(fmt.Errorf("--version: %w", err))
	}
	if err := artifacts.CheckMinAgent(o.minAgent); err != nil {
		return usage(fmt.Errorf("--min-agent: %w", err))
	}
	if len(o.images) > 0 {
		o.images = strings.Split(strings.Join(o.images, ","), ",")
	}
	if err := publish.CheckImages(o.images); err != nil {
		return usage(fmt.Errorf("--image %w", err))
	}
	if err := o.checkBases(); err != nil {
		return err
	}
	if len(o.platforms) == 0 {
		return usage(errors.New("nothing to publish: want PATH or --platform os/arch=PATH"))
	}
	hooks, healthy, err := o.behaviour.parse()
	if err != nil {
		return err
	}
	sent := c.ui.uploads()
	b, keys, err := o.open(ctx, func(b *s3.Bucket) { b.Progress = sent.add })
	if err != nil {
		return err
	}
	draft := publish.Draft{App: o.app, Version: o.version, Created: time.Now(), MinAgent: o.minAgent, Hooks: hooks, Health: healthy, Keys: keys, ChunkLists: o.chunkList}
	defer func() {
		for _, p := range draft.Packed {
			err = errors.Join(err, p.Close())
		}
	}()
	findings, err := c.packAll(ctx, o, &draft)
	if err != nil {
		return err
	}
	left, err := c.addDeltas(ctx, o, b, draft)
	if err != nil {
		return err
	}
	var released publish.Released
	err = sent.during(func() (err error) {
		released, err = publish.Release(ctx, b, draft)
		return err
	})
	if errors.Is(err, publish.ErrCommand) {
		err = usage(err)
	}
	if err != nil {
		return err
	}
	return c.tellReleased(o, publication{released, draft.Packed, findings, left})
}

// input is what is published for one platform.
type input struct {
	*publish.Input
	platform string
}

// packAll reads and checks the inputs of all platforms before it packs the
// first.
func (c *cli) packAll(ctx context.Context, o publishOptions, draft *publish.Draft) (findings []lint.Finding, err error) {
	if err := o.checkPlatforms(); err != nil {
		return nil, err
	}
	var inputs []input
	defer func() {
		for _, in := range inputs {
			err = errors.Join(err, in.Close())
		}
	}()
	for _, platform := range o.platforms {
		name, path, _ := strings.Cut(platform, "=")
		opt := o.input.options(o.app)
		opt.Hooks, opt.Health, opt.Platform = draft.Hooks, draft.Health, name
		in, err := c.read(ctx, path, opt)
		if err != nil {
			return nil, err
		}
		inputs = append(inputs, input{in, name})
		findings = append(findings, in.Findings()...)
	}
	c.ui.lint(findings)
	if lint.Refused(findings) != nil {
		return nil, failure.WithHint(failure.Mark(summed(findings), tree.ErrRefused), "nothing was stored; koboshi lint checks again, without a bucket")
	}
	if err := notClean(findings, o.strict); err != nil {
		return nil, failure.WithHint(err, "nothing was stored; without --strict these are warnings")
	}
	if draft.Hooks, err = hooksOf(inputs); err != nil {
		return nil, err
	}
	for _, in := range inputs {
		packed, err := c.pack(ctx, in, o.images)
		draft.Packed = append(draft.Packed, packed...)
		if err != nil {
			return nil, err
		}
	}
	return findings, checkDifferent(draft.Packed)
}

// checkDifferent refuses the same ready image under two names.
func checkDifferent(all []*publish.Packed) error {
	for i, p := range all {
		for _, other := range all[:i] {
			a, b := p.Artifact(), other.Artifact()
			if a.OS == b.OS && a.Arch == b.Arch && a.SHA256 == b.SHA256 {
				return usage(fmt.Errorf("two artifacts for %s/%s have the same bytes", a.OS, a.Arch))
			}
		}
	}
	return nil
}

// hooksOf are the hooks of all inputs: a release has the same on every platform.
func hooksOf(inputs []input) (artifacts.Hooks, error) {
	hooks := inputs[0].Hooks()
	for _, in := range inputs[1:] {
		if !reflect.DeepEqual(in.Hooks(), hooks) {
			return hooks, usage(fmt.Errorf("the appspecs for %s and %s have other hooks: want the same for every platform", inputs[0].platform, in.platform))
		}
	}
	return hooks, nil
}

func (o publishOptions) checkPlatforms() error {
	seen := map[string]bool{}
	for _, platform := range o.platforms {
		name, path, ok := strings.Cut(platform, "=")
		one := name
		if publish.IsImage(path) {
			one = platform // there may be several, and a tree
		}
		switch {
		case !ok:
			return usage(fmt.Errorf("--platform %q, want os/arch=PATH", beginning(platform)))
		case publish.CheckPlatform(name) != nil:
			return unknownPlatform(name)
		case seen[one]:
			return usage(fmt.Errorf("two artifacts for %s: a bare PATH is for %s", name, defaultPlatform))
		}
		seen[one] = true
	}
	return nil
}

func unknownPlatform(name string) error {
	err := usage(fmt.Errorf("--%w", publish.CheckPlatform(beginning(name))))
	if near, ok := artifacts.Nearest(name, publish.Platforms()); ok {
		return failure.WithHint(err, "did you mean "+near+"?")
	}
	return err
}

// pack makes the artifact of an input, and images of it. With an error it returns those
// that were made before.
func (c *cli) pack(ctx context.Context, in input, images []string) (all []*publish.Packed, err error) {
	defer c.ui.clear()
	packed, err := in.Pack(ctx, in.platform)
	if err != nil {
		return nil, ofTemp(ofCaller(err))
	}
	all = append(all, packed)
	for _, kind := range images {
		if packed, err = in.PackImage(ctx, in.platform, kind); err != nil {
			switch {
			case errors.Is(err, publish.ErrTool):
				err = failure.WithHint(usage(err), "install it where you publish, or leave --image "+kind+" out; nothing was stored")
			case errors.Is(err, publish.ErrInput):
				err = usage(err)
			}
			return all, ofTemp(ofCaller(err))
		}
		all = append(all, packed)
	}
	return all, nil
}

// publication is a release with what is reported about it.
type publication struct {
	publish.Released
	packed   []*publish.Packed
	findings []lint.Finding
	left     []publish.Outcome
}

// releasedJSON is the output of publish --json.
type releasedJSON struct {
	App            string              `json:"app"`
	Version        string              `json:"version"`
	ManifestSHA256 artifacts.Digest    `json:"manifest_sha256"`
	Already        bool                `json:"already"`
	Artifacts      []publishedArtifact `json:"artifacts"`
	Hooks          artifacts.Hooks     `json:"hooks,omitzero"`
	Findings       []lint.Finding      `json:"findings,omitzero"`
}

type publishedArtifact struct {
	Platform    string            `json:"platform"`
	Key         string            `json:"key"`
	Size        int64             `json:"size"`
	SHA256      artifacts.Digest  `json:"sha256"`
	LaunchBytes int64             `json:"launch_bytes"`    // what a launch fetches of it, with its index
	Image       artifacts.Format  `json:"image,omitempty"` // of what is mounted, not unpacked
	File        string            `json:"file,omitempty"`  // what a single file is called in the tree
	Deltas      []artifacts.Delta `json:"deltas,omitzero"`
}

func (c *cli) tellReleased(o publishOptions, p publication) error {
	c.ui.leftOut(p.left)
	if o.json {
		return c.ui.printJSON(p.json())
	}
	for i, a := range p.Manifest.Artifacts {
		one := p.artifact(i)
		c.ui.printf("%s  %s  %s unpacked, %s; a launch fetches %s\n", strings.TrimSuffix(one.Platform+" "+string(one.Image), " "), report.Bytes(a.Size), report.Bytes(a.UnpackedBytes), count(int(a.Entries), "entry", "entries"), report.Bytes(one.LaunchBytes))
		if one.File != "" {
			c.ui.printf("  installed as <root>/current/%s, mode 0755\n", one.File)
		}
		c.ui.deltas(a)
	}
	if o.input.bundle {
		c.ui.hooks(p.Manifest.Hooks)
	}
	word := "published"
	if p.Already {
		word = "was published before, with the same bytes"
	}
	c.ui.printf("%s %s %s, manifest %s\n", o.app, o.version, word, p.SHA256.Short())
	return nil
}

func (u *ui) hooks(h artifacts.Hooks) {
	for _, hook := range []struct {
		name string
		argv []string
	}{{"pre_start", h.PreStart}, {"post_start", h.PostStart}, {"pre_stop", h.PreStop}} {
		if len(hook.argv) > 0 {
			u.printf("  hook %s: %s\n", hook.name, report.Clean(strings.Join(hook.argv, " "), report.MaxText))
		}
	}
}

func (p publication) json() releasedJSON {
	out := releasedJSON{App: p.Manifest.App, Version: p.Manifest.Version, ManifestSHA256: p.SHA256, Already: p.Already, Hooks: p.Manifest.Hooks, Findings: p.findings}
	for i := range p.Manifest.Artifacts {
		out.Artifacts = append(out.Artifacts, p.artifact(i))
	}
	return out
}

func (p publication) artifact(i int) publishedArtifact {
	a := p.Manifest.Artifacts[i]
	out := publishedOf(a)
	for _, packed := range p.packed {
		if is := packed.Artifact(); is.OS == a.OS && is.Arch == a.Arch && is.SHA256 == a.SHA256 {
			out.File = packed.Single()
		}
	}
	return out
}

func publishedOf(a artifacts.Artifact) publishedArtifact {
	out := publishedArtifact{Platform: a.OS + "/" + a.Arch, Key: a.Key, Size: a.Size, SHA256: a.SHA256, LaunchBytes: a.LaunchBytes(), Deltas: a.Deltas}
	if a.Image != nil {
		out.Image = a.Format
	}
	return out
}
