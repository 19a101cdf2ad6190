package agent

import (
	"context"
	"errors"
	"fmt"
	"os"

	"koboshi/agent/state"
	"koboshi/artifacts/durable"
	"koboshi/artifacts/store"
)

// dirs are the places where an app keeps anything on the machine. What could not
// be opened is nil.
type dirs struct {
	store *store.Store
	state *os.Root
	run   *os.Root
	err   error // why one of them could not be opened
}

// open opens the app's places. An error does not keep the others from being
// used: at a launch the lifecycle action must be completed all the same.
func (a *Agent) open() (d dirs) {
	var errs [3]error
	d.store, errs[0] = store.Open(a.Files.Install.Root, a.Trust)
	if d.store != nil {
		d.store.Window, d.store.Turns = a.Window, a.Turns
	}
	d.state, errs[1] = openDir("state.dir", a.Files.State.Dir)
	d.run, errs[2] = openDir("state.run", a.Files.State.Run)
	d.err = errors.Join(errs[:]...)
	return d
}

// openState opens only those that tell what becomes of the instance.
func (a *Agent) openState() (d dirs) {
	var errs [2]error
	d.state, errs[0] = openDir("state.dir", a.Files.State.Dir)
	d.run, errs[1] = openDir("state.run", a.Files.State.Run)
	d.err = errors.Join(errs[:]...)
	return d
}

func openDir(key, name string) (*os.Root, error) {
	err := durable.MakeDir(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", key, state.ErrDisk, err)
	}
	dir, err := os.OpenRoot(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", key, state.ErrDisk, err)
	}
	return dir, nil
}

// close lets go of what was opened. Descriptors of directories have nothing to
// report.
func (d dirs) close() {
	if d.store != nil {
		_ = d.store.Close()
	}
	for _, dir := range []*os.Root{d.state, d.run} {
		if dir != nil {
			_ = dir.Close()
		}
	}
}

// open opens the places of the app and reads what the last run left, without the
// lock: that is for [run.lock].
func (r *run) open() error {
	r.dirs = r.agent.open()
	r.Store, r.RunDir = r.dirs.store, r.dirs.run
	if r.Store != nil && r.agent.Mounts != nil {
		r.Store.Mounts = r.agent.Mounts(r.warn)
		if r.Config.Install.FSVerity {
			r.Store.Seals = r.agent.Seals
		}
	}
	if r.Node != nil {
		r.Node.State, r.Node.Run = r.dirs.state, r.dirs.run
	}
	return r.loadState()
}

// close releases the run's lock and directories.
func (r *run) close() {
	r.release()
	r.dirs.close()
	r.dirs = dirs{}
}

// lock makes this the only run of the app on the machine, if it is not that yet,
// and reads anew what the last one left. Without all of its places there is no
// such run.
func (r *run) lock(ctx context.Context, wait bool) error {
	if r.unlock != nil || r.dirs.err != nil {
		return r.dirs.err
	}
	if err := context.Cause(ctx); errors.Is(err, state.ErrLeaving) {
		return err
	}
	unlock, err := state.Lock(ctx, r.RunDir, r.report.Command, wait)
	if err != nil {
		return err
	}
	r.unlock = unlock
	return r.loadState()
}

// release lets other runs work while this one only waits.
func (r *run) release() {
	if r.unlock != nil {
		r.unlock()
		r.unlock = nil
	}
}

// loadState reads the cached state. What it has lost of the sequences is in the
// pointers that are stored with the installed releases.
func (r *run) loadState() error {
	if r.stateErr = r.readState(); r.stateErr != nil {
		return r.stateErr
	}
	if r.dirs.err != nil {
		return r.dirs.err
	}
	return r.learnSequences()
}

func (r *run) readState() error {
	if r.dirs.state == nil {
		return r.dirs.err
	}
	loaded, warning, err := state.Load(r.dirs.state)
	if err != nil {
		return err
	}
	if warning != nil {
		r.warn("what %s has lost is learnt again from the installed releases: %v", state.File, warning)
	}
	r.state = loaded
	if r.Instance.ID != "" {
		r.belong()
	}
	return nil
}

// saveState writes the state, but never over one that could not be read.
func (r *run) saveState() error {
	if r.stateErr != nil {
		return r.stateErr
	}
	return r.state.Save(r.dirs.state)
}

func (r *run) learnSequences() error {
	releases, err := r.Store.Releases()
	if err != nil {
		return err
	}
	for _, rel := range releases {
		for _, seen := range rel.Pointers() {
			channel, sequence := seen.Pointer.Pointer().Channel, seen.Pointer.Sequence()
			if r.state.Sequence(channel).Number < sequence.Number {
				r.state.SetSequence(channel, sequence)
			}
		}
	}
	return nil
}
