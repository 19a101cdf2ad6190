package doctor

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"

	"koboshi/agent/config"
	"koboshi/agent/mounts"
	"koboshi/artifacts/format"
	"koboshi/artifacts/store"
)

// mounter mounts images on this machine.
type mounter interface {
	// Try is why images of a format are not mounted here. It mounts a sample, where it
	// may; else that is not tried, and the error is what can be seen.
	Try(ctx context.Context, kind format.Image) (tried bool, err error)
	// TrySeal is why images are not protected by fs-verity here.
	TrySeal(ctx context.Context) error
	Labels() (enforced bool, err error)
}

// mountsHere is this machine.
type mountsHere struct {
	*mounts.Mounts
	releases storeHere
}

func (m mountsHere) Try(ctx context.Context, kind format.Image) (bool, error) {
	s, err := store.OpenExisting(m.releases.root, m.releases.trust)
	if os.Geteuid() != 0 || err != nil {
		if err == nil {
			err = s.Close()
		}
		return false, cmp.Or(m.Can(ctx, kind.Info().Mount), ignoreAbsent(err))
	}
	s.Mounts = m.Mounts
	return true, errors.Join(s.TryFormat(ctx, kind), s.Close())
}

// TrySeal seals a file in the store.
func (m mountsHere) TrySeal(ctx context.Context) error {
	s, err := store.OpenExisting(m.releases.root, m.releases.trust)
	if err != nil {
		return ignoreAbsent(err)
	}
	s.Mounts, s.Seals = m.Mounts, mounts.Verity{}
	return errors.Join(s.TrySeal(ctx), s.Close())
}

func ignoreAbsent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil // before the first release
	}
	return err
}

// mountsFacts is which formats of images this machine mounts.
type mountsFacts struct {
	formats []fact[string] // their names
	tried   bool           // else as far as can be seen
	labels  fact[bool]     // SELinux is enforcing
	seal    fact[struct{}] // images are sealed, where that is asked for
}

func (f *facts) askMounts(ctx context.Context) {
	if f.Config.Install.Images != config.ImagesAuto {
		return
	}
	for _, kind := range format.Images() {
		can := ask(ctx, func(ctx context.Context) (bool, error) { return f.Mounts.Try(ctx, kind) })
		f.mounts.tried = can.value
		f.mounts.formats = append(f.mounts.formats, fact[string]{string(kind.Info().Name), can.err})
	}
	if f.Config.Install.FSVerity {
		f.mounts.seal = ask0(ctx, f.Mounts.TrySeal)
	}
	f.mounts.labels = local(ctx, f.Mounts.Labels)
}

// checkMounts is about install.images.
func checkMounts(f *facts) (found []Finding) {
	var can []string
	for _, one := range f.mounts.formats {
		if one.err == nil {
			can = append(can, one.value)
			continue
		}
		found = append(found, warning("releases with another image, or their tree, are installed all the same", "no %s is mounted here: %v", one.value, one.err)...)
	}
	switch enforced := f.mounts.labels; {
	case len(f.mounts.formats) == 0:
		return nil
	case enforced.err != nil:
		found = append(found, unknown(enforced.err)...)
	case enforced.value && len(can) > 0:
		found = append(found, warning("try one on a test instance: all files of an image get the label that its directory has", "SELinux is enforcing: whether the app may read an image was not tried")...)
	}
	if err := f.mounts.seal.err; err != nil {
		found = append(found, warning("images are installed all the same, and hashed as install.verify has it; fs-verity is on ext4 (tune2fs -O verity), f2fs and btrfs", "install.fsverity: no image is protected here: %v", err)...)
	}
	if len(can) > 0 {
		how := "as far as can be seen"
		if f.mounts.tried {
			how = "a small one of each was"
		}
		found = append(fine("images can be mounted, %s: %s", how, strings.Join(can, ", ")), found...)
	}
	return found
}
