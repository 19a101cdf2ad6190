package doctor

import (
	"context"
	"fmt"
	"strings"

	"koboshi/agent/config"
	"koboshi/artifacts/format"
)

// mounter is mounts.Mounts.
type mounter interface {
	Can(ctx context.Context, filesystem string) error
	Labels() (enforced bool, err error)
}

// mountsFacts is which formats of images this machine mounts.
type mountsFacts struct {
	formats []fact[string] // their names
	labels  fact[bool]     // SELinux is enforcing
}

func (f *facts) askMounts(ctx context.Context) {
	if f.Config.Install.Images != config.ImagesAuto {
		return
	}
	for _, info := range format.Images() {
		can := ask0(ctx, func(ctx context.Context) error { return f.Mounts.Can(ctx, info.Mount) })
		f.mounts.formats = append(f.mounts.formats, fact[string]{string(info.Name), can.err})
	}
	f.mounts.labels = local(ctx, f.Mounts.Labels)
}

// checkMounts is about install.images; it does not mount anything.
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
		found = append(found, warning("try one on a test instance: files of an image have no label of their own", "SELinux is enforcing: whether the app may read an image was not tried")...)
	}
	if len(can) > 0 {
		found = append(fine("%s", fmt.Sprintf("images can be mounted, as far as can be seen: %s", strings.Join(can, ", "))), found...)
	}
	return found
}
