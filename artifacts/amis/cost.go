package amis

import (
	"koboshi/artifacts"
)

// Fetch is what a launch fetches, in bytes.
type Fetch struct {
	Whole int64 // the artifact and its index; 0 = the release is baked in
	Delta int64 // with install.delta = "always", by a delta update from what is baked in; 0 = there is none
}

// Fetch is what a launch from an AMI that carries this fetches of another release, or
// of the same. Where the release is not published for the AMI's platform the error is
// artifacts.ErrNoPlatform.
func (c Carried) Fetch(m artifacts.Manifest, sum artifacts.Digest, arch string) (f Fetch, err error) {
	if sum == c.Manifest {
		return f, nil
	}
	a, err := m.Artifact("linux", arch)
	if err != nil {
		images := m.Images("linux", arch)
		if len(images) == 0 {
			return f, err
		}
		a = images[0]
	}
	var index int64
	if a.Index != nil {
		index = a.Index.Size
	}
	f.Whole = a.LaunchBytes()
	for _, d := range a.Deltas {
		if d.Base == c.Version && d.Size < a.Size {
			f.Delta = d.Size + index
		}
	}
	return f, nil
}

// TooOld reports whether the agent of the AMI is too old for a release.
func (c Carried) TooOld(m artifacts.Manifest) bool {
	return c.Agent != "" && m.MinAgent != "" && artifacts.NewerAgent(c.Agent, m.MinAgent) != c.Agent
}
