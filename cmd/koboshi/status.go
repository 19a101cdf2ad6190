package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"koboshi/agent/config"
	"koboshi/agent/doctor"
	"koboshi/agent/failure"
	"koboshi/agent/report"
	"koboshi/agent/report/picture"
	"koboshi/agent/service"
	"koboshi/agent/state"
	"koboshi/artifacts/bucket"
	"koboshi/systemd"
)

// recordedCommands leave a report each.
var recordedCommands = []string{"boot", "sync", "rollback", "prebake", "drain", "node-id"}

type statusOptions struct {
	json, timeline, ascii, watch bool
	svg, against, command        string
	apps                         []string // the configuration files of the apps that are shown
}

func (c *cli) status() *cobra.Command {
	var o statusOptions
	cmd := &cobra.Command{
		Use:   "status",
		Short: "show what runs here, since when, and how the last run went",
		Long: "Show how the last run ended: release, verdict, lifecycle action, and why. It is the last\n" +
			"run of any command, or of the one that --command names. The app is asked once whether it is\n" +
			"healthy now; nothing else is asked from the network. Without --config, or where it names a\n" +
			"directory, all apps are shown that are configured there, and --json is an array if there are several." +
			exits(failure.OK, failure.Usage, failure.Configuration, failure.Resolve, failure.Disk),
		Example: "  koboshi status --timeline\n  koboshi status --json\n  koboshi status --svg boot.svg",
		GroupID: onInstance,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.apps = c.chosenApps(cmd)
			return c.runStatus(cmd.Context(), o)
		},
	}
	cmd.Flags().StringVar(&o.command, "command", "", "show the last run of this `COMMAND`: "+list(recordedCommands, "or"))
	cmd.Flags().BoolVar(&o.json, "json", false, "print the report as JSON")
	cmd.Flags().BoolVar(&o.timeline, "timeline", false, "draw the steps of the last run as bars")
	cmd.Flags().BoolVar(&o.ascii, "ascii", false, "draw with ASCII characters only")
	cmd.Flags().StringVar(&o.svg, "svg", "", "write the same picture to `FILE`")
	cmd.Flags().StringVar(&o.against, "against", "", "compare the steps with those of another report, a `FILE` made by status --json")
	cmd.Flags().BoolVar(&o.watch, "watch", false, "show it again every two seconds, until interrupted")
	oneOf(cmd, false, "json", "timeline", "against")
	return cmd
}

func (c *cli) runStatus(ctx context.Context, o statusOptions) error {
	if !o.watch {
		return c.showStatus(ctx, o)
	}
	return c.ui.again(ctx, func() error {
		err := c.showStatus(ctx, o)
		if errors.Is(err, bucket.ErrNotFound) { // the first run may be under way
			c.ui.printf("%v\n", err)
			return nil
		}
		return err
	})
}

func (c *cli) showStatus(ctx context.Context, o statusOptions) error {
	if o.command != "" && !slices.Contains(recordedCommands, o.command) {
		return usage(fmt.Errorf("--command %q: want %s", beginning(o.command), list(recordedCommands, "or")))
	}
	if len(o.apps) > 1 {
		return c.showApps(ctx, o)
	}
	c.configFile = o.apps[0]
	last, err := c.recorded(ctx, o.command)
	if err != nil {
		return err
	}
	return c.showRecorded(ctx, o, last)
}

// recorded is the last run of a command, "" = any, and what is seen of the app now.
func (c *cli) recorded(ctx context.Context, command string) (recorded, error) {
	cfg, err := c.loadConfig()
	if err != nil {
		return recorded{}, err
	}
	last, err := lastRecorded(cfg, command)
	if err != nil {
		return last, err
	}
	last.Now, last.Look = c.look(ctx, cfg, last.Report), lastLook(cfg)
	last.lookAtNodeID(cfg)
	return last, nil
}

func (c *cli) showRecorded(ctx context.Context, o statusOptions, last recorded) error {
	rows := append(machineRows(ctx, last.Report), picture.Rows(last.Report)...)
	if o.svg != "" {
		if err := writeSVG(o.svg, last.Report, rows); err != nil {
			return err
		}
	}
	switch {
	case o.against != "":
		return c.compareWith(o.against, last.Report)
	case o.json:
		return c.ui.printJSON(last)
	case o.timeline:
		c.ui.printf("%s", picture.Text(rows, c.ui.width(), glyphs(o.ascii)))
		return nil
	}
	c.ui.screen(last)
	return nil
}

// machineRows are the steps of the machine's own start, where the report is of a
// boot during that start: the picture includes what happened before koboshi.
func machineRows(ctx context.Context, r report.Report) (rows []picture.Row) {
	manager, err := systemd.Connect(ctx)
	if err != nil {
		return nil
	}
	defer manager.Close()
	phases, err := manager.Phases(ctx)
	if err != nil || len(phases) == 0 || r.Command != "boot" || r.Started.Before(phases[0].Start) {
		return nil
	}
	end := r.Started.Add(time.Duration(r.MS) * time.Millisecond)
	for _, p := range phases {
		if p.End.IsZero() {
			p.End = end
		}
		rows = append(rows, picture.Row{Name: p.Name, Start: p.Start, End: p.End, Class: picture.ClassSystem})
	}
	return rows
}

// recorded is what runs have left and what is seen now, as status --json prints it.
type recorded struct {
	Config string `json:"config,omitzero"` // where several apps are shown: the file of this one
	report.Report
	Now   *seen        `json:"now,omitzero"`   // nil where the app cannot be asked
	State *state.State `json:"state,omitzero"` // nil where it cannot be read
	Look  *state.Look  `json:"look,omitzero"`  // nil where there was none since the machine started
	// Hidden is why the state cannot be read, "" where it can.
	Hidden string `json:"hidden,omitzero"`
}

// seen is what the app answers just now.
type seen struct {
	Healthy bool   `json:"healthy"`
	Error   string `json:"error,omitzero"`
	// Unseen is set where this user may not ask, with the reason in Error: then the
	// app may be healthy or not.
	Unseen bool `json:"unseen,omitzero"`
}

// look asks the app once. nil is an app that cannot be asked: there is none yet,
// or the keys that the current release is verified under cannot be read.
func (c *cli) look(ctx context.Context, cfg *config.Config, last report.Report) *seen {
	trust, err := loadTrust(cfg)
	if err != nil || last.Release == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, doctor.Limit)
	defer cancel()
	if err := doctor.Look(ctx, cfg, trust, service.New(cfg, c.ui.hookLine)); err != nil {
		return &seen{Error: report.Clean(err.Error(), report.MaxText), Unseen: os.Geteuid() != 0 && denied(err)}
	}
	return &seen{Healthy: true}
}

// denied reports whether an error is a lack of permissions of this user.
func denied(err error) bool { return errors.Is(err, fs.ErrPermission) || systemd.Denied(err) }

func (s seen) String() string {
	switch {
	case s.Healthy:
		return "the app is up and healthy"
	case s.Unseen:
		return "this user may not ask the app, run koboshi status as root: " + s.Error
	}
	return s.Error
}

// lastRecorded reads what the last run of a command left, or with "" that of
// any. The state can change without a run: hold and unhold write no report.
func lastRecorded(cfg *config.Config, command string) (r recorded, err error) {
	dir, err := os.OpenRoot(cfg.State.Dir)
	if err != nil {
		return r, nothingHere(err)
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	if command == "" {
		r.Report, err = report.Newest(dir)
	} else {
		r.Report, err = report.Load(dir, command)
	}
	if err != nil {
		return r, neverRan(command, err)
	}
	s, _, err := state.Load(dir)
	if err != nil { // only root may read it, everyone may read the report
		r.Hidden = report.Clean(err.Error(), report.MaxText)
		return r, nil
	}
	if !s.Hold.Active(time.Now()) {
		s.Hold = nil
	}
	r.State = &s
	return r, nil
}

// lastLook is when the machine last looked at its channel by itself.
func lastLook(cfg *config.Config) *state.Look {
	dir, err := os.OpenRoot(cfg.State.Run)
	if err != nil {
		return nil
	}
	defer func() { _ = dir.Close() }()
	look, err := state.LoadLook(dir)
	if err != nil {
		return nil
	}
	return &look
}

func lookText(l state.Look) string {
	text := fmt.Sprintf("%s ago: %s", max(0, time.Since(l.At).Round(time.Second)), l.Verdict)
	if l.Code != 0 {
		text += fmt.Sprintf(" (%d)", l.Code)
	}
	return text
}

// nothingHere is the error of commands that read what a run left.
func nothingHere(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return failure.WithHint(failure.Mark(errors.New("koboshi has not run here yet"), bucket.ErrNotFound), "koboshi boot or koboshi sync writes a report; is --config the right one?")
	}
	return failure.Mark(err, state.ErrDisk)
}

// neverRan is nothingHere for one command, "" = any.
func neverRan(command string, err error) error {
	if command == "" || !errors.Is(err, fs.ErrNotExist) {
		return nothingHere(err)
	}
	return failure.WithHint(failure.Mark(fmt.Errorf("no run of koboshi %s is recorded here", command), bucket.ErrNotFound), "koboshi history lists what ran here")
}

func writeSVG(name string, r report.Report, rows []picture.Row) error {
	f, err := os.OpenFile(filepath.Clean(name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC|syscall.O_NOFOLLOW, 0o644) //nolint:gosec // as the user's umask has it
	if errors.Is(err, syscall.ELOOP) {
		return usage(fmt.Errorf("--svg %s: a symbolic link is not followed", name))
	}
	if err != nil {
		return ofCaller(err)
	}
	title := fmt.Sprintf("%s of %s on %s, %s: %s", r.Command, r.App, r.Instance.ID, r.Started.Format(time.RFC3339), r.Verdict)
	err = picture.SVG(f, title, picture.Notes(r), rows)
	if info, statErr := f.Stat(); err != nil && statErr == nil && info.Mode().IsRegular() { // not a device
		err = errors.Join(err, os.Remove(name)) // half a picture is none
	}
	return errors.Join(err, f.Close())
}

// screen is the first overview for an operator who has just logged in.
func (u *ui) screen(r recorded) {
	row := u.row
	row("app", "%s", r.App)
	row("release", "%s", releaseText(r.Release))
	switch {
	case r.Verdict == report.Drained && r.Now != nil && !r.Now.Healthy:
		row("now", "out of service")
	case r.Now != nil:
		row("now", "%s", r.Now)
	}
	if r.Target != nil && (r.Release == nil || r.Target.ManifestSHA256 != r.Release.ManifestSHA256) {
		row("target", "%s", releaseText(r.Target))
	}
	if r.Previous != nil {
		row("previous", "%s", releaseText(r.Previous))
	}
	row("channel", "%s", r.Channel)
	if r.Rollout != nil {
		row("rollout", "%s", r.Rollout)
	}
	row("verdict", "%s, %s of %s, %s", r.Verdict, r.Command, r.Started.Format(time.RFC3339), report.Duration(time.Duration(r.MS)*time.Millisecond))
	if r.Look != nil {
		row("looked", "%s", lookText(*r.Look))
	}
	row("instance", "%s", instanceText(r.Instance))
	if r.Node != nil {
		u.nodeRows(*r.NodeID, *r.Node, time.Now())
	}
	if r.Lifecycle.Result != "" {
		row("action", "%s: %s, %s", r.Lifecycle.Hook, r.Lifecycle.Result, count(r.Lifecycle.Heartbeats, "heartbeat", "heartbeats"))
	}
	if r.Drain != nil {
		u.drainRows(r.Drain)
	}
	if r.Stack.Result != "" {
		row("stack", "%s/%s: %s", r.Stack.Name, r.Stack.Resource, r.Stack.Result)
	}
	if r.Error != nil {
		u.errorRows(r.Error)
	}
	if r.State != nil && r.State.Hold != nil {
		hold := r.State.Hold
		row("held", "by %s%s: %s", hold.By, untilText(hold.Until), hold.Reason)
	}
	if r.Hidden != "" {
		row("hidden", "whether the instance is held: %s; run koboshi status as root", r.Hidden)
	}
	for _, warning := range r.Warnings {
		row("warning", "%s", warning)
	}
}

// row is a line of the overview.
func (u *ui) row(key, format string, args ...any) {
	u.printf("%-8s  %s\n", key, wrap(fmt.Sprintf(format, args...), 10, columns(u.out)))
}

func (u *ui) drainRows(d *report.Drain) {
	u.row("drained", "%s, noticed %s", d.Reason, d.Noticed.Format(time.RFC3339))
	for _, f := range d.Flush {
		u.row("flush", "%s (%s): %s", f.Name, f.Kind, f.Text())
	}
}

func (u *ui) errorRows(e *report.Error) {
	u.row("error", "%s (%d)", e.Message, e.Code)
	if e.Hint != "" {
		u.row("hint", "%s", e.Hint)
	}
	for _, line := range e.Output {
		u.row("app", "%s", line)
	}
}

func releaseText(r *report.Release) string {
	if r == nil {
		return "none"
	}
	text := fmt.Sprintf("%s (manifest %s", r.Version, r.ManifestSHA256[:min(12, len(r.ManifestSHA256))])
	if r.Sequence > 0 {
		text += fmt.Sprintf(", sequence %d", r.Sequence)
	}
	text += ")"
	if !r.ActivatedAt.IsZero() {
		text += ", healthy since " + r.ActivatedAt.Format(time.RFC3339)
	}
	return text
}

func instanceText(i report.Instance) string {
	if i.ID == "" {
		return "unknown"
	}
	text := i.ID + " in " + i.AZ
	if i.Group != "" {
		text += ", group " + i.Group
	}
	return text
}

func glyphs(ascii bool) picture.Glyphs {
	if ascii {
		return picture.ASCII
	}
	return picture.Blocks
}
