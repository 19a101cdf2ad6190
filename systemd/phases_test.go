package systemd

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func second(n int64) uint64 { return uint64(n) * 1e6 }

func at(n int64) time.Time { return time.Unix(n, 0).UTC() }

func TestPhases(t *testing.T) {
	stage := newUnit("done")
	stage.props["InactiveExitTimestamp"], stage.props["ActiveEnterTimestamp"] = second(105), second(107)
	running := newUnit("done")
	running.props["InactiveExitTimestamp"], running.props["ActiveEnterTimestamp"] = second(108), uint64(0)
	never := newUnit("done")
	never.props["InactiveExitTimestamp"], never.props["ActiveEnterTimestamp"] = uint64(0), uint64(0)
	units := map[string]*fakeUnit{"cloud-init-local.service": stage, "cloud-config.service": running, "cloud-final.service": never}

	for _, tt := range []struct {
		name  string
		times map[string]uint64
		want  []Phase
	}{
		{"a machine", map[string]uint64{"KernelTimestamp": second(100), "InitRDTimestamp": 0, "UserspaceTimestamp": second(103), "FinishTimestamp": second(120)}, []Phase{
			{"kernel", at(100), at(103)}, {"userspace", at(103), at(120)},
			{"cloud-init-local", at(105), at(107)}, {"cloud-config", at(108), time.Time{}},
		}},
		{"with an initrd", map[string]uint64{"KernelTimestamp": second(100), "InitRDTimestamp": second(101), "UserspaceTimestamp": second(103), "FinishTimestamp": second(120)}, []Phase{
			{"kernel", at(100), at(101)}, {"initrd", at(101), at(103)}, {"userspace", at(103), at(120)},
			{"cloud-init-local", at(105), at(107)}, {"cloud-config", at(108), time.Time{}},
		}},
		{"a container that still starts", map[string]uint64{"KernelTimestamp": 0, "InitRDTimestamp": 0, "UserspaceTimestamp": second(103), "FinishTimestamp": 0}, []Phase{
			{"userspace", at(103), time.Time{}},
			{"cloud-init-local", at(105), at(107)}, {"cloud-config", at(108), time.Time{}},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := (&fakeSystemd{units: units, times: tt.times}).start(t)
			got, err := m.Phases(t.Context())
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("got %v, %v\nwant %v", got, err, tt.want)
			}
		})
	}
}

func TestPhasesThatCannotBeAsked(t *testing.T) {
	m := (&fakeSystemd{}).start(t)
	if phases, err := m.Phases(t.Context()); err == nil || phases != nil {
		t.Errorf("got %v, %v", phases, err)
	}
}

func TestLinkReloads(t *testing.T) {
	f := &fakeSystemd{}
	m := f.start(t)
	if err := m.Link(t.Context(), "/opt/web/current/web.service"); err != nil {
		t.Fatal(err)
	}
	if got, want := f.called(), "link /opt/web/current/web.service runtime false force true, reload"; got != want {
		t.Errorf("calls %q, want %q", got, want)
	}
	f.busy = true
	if err := m.Link(t.Context(), "/gone.service"); err == nil || !strings.Contains(err.Error(), "link /gone.service") {
		t.Errorf("error %v", err)
	}
}
