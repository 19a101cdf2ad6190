package systemd

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Phase is a stretch of the machine's start. End is zero while it lasts.
type Phase struct {
	Name       string
	Start, End time.Time
}

// cloudInit are the units of cloud-init in the order of its stages. The second
// was renamed in 24.3; units that do not exist here are left out.
var cloudInit = []string{"cloud-init-local.service", "cloud-init.service", "cloud-init-network.service", "cloud-config.service", "cloud-final.service"}

// Phases returns how the machine started, by systemd's own time stamps: kernel,
// initrd, userspace, and the stages of cloud-init. Phases that the machine does
// not have are left out: a container has no kernel of its own.
//
// Source: org.freedesktop.systemd1(5), the properties *Timestamp.
func (m *Manager) Phases(ctx context.Context) ([]Phase, error) {
	stamps := map[string]time.Time{}
	for _, name := range []string{"Kernel", "InitRD", "Userspace", "Finish"} {
		at, err := m.managerTime(ctx, name+"Timestamp")
		if err != nil {
			return nil, err
		}
		stamps[name] = at
	}
	var phases []Phase
	add := func(name string, start time.Time, ends ...time.Time) {
		if !start.IsZero() {
			phases = append(phases, Phase{name, start, firstSet(ends...)})
		}
	}
	add("kernel", stamps["Kernel"], stamps["InitRD"], stamps["Userspace"])
	add("initrd", stamps["InitRD"], stamps["Userspace"])
	add("userspace", stamps["Userspace"], stamps["Finish"])
	for _, unit := range cloudInit {
		start, end, err := m.activation(ctx, unit)
		if errors.Is(err, ErrNoUnit) {
			continue
		}
		if err != nil {
			return nil, err
		}
		add(strings.TrimSuffix(unit, ".service"), start, end)
	}
	return phases, nil
}

// activation is when a unit last began to start and when it had started.
func (m *Manager) activation(ctx context.Context, unit string) (start, end time.Time, err error) {
	props, err := m.unitProperties(ctx, unit)
	if err != nil {
		return start, end, err
	}
	began, _ := props["InactiveExitTimestamp"].(uint64)
	active, _ := props["ActiveEnterTimestamp"].(uint64)
	return microseconds(began), microseconds(active), nil
}

// managerTime is one of PID 1's own time stamps: "@t 1763719200000000".
func (m *Manager) managerTime(ctx context.Context, name string) (time.Time, error) {
	text, err := m.property(ctx, name)
	if err != nil {
		return time.Time{}, err
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(text, "@t "), 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("ask systemd for %s: got %q", name, text)
	}
	return microseconds(n), nil
}

// microseconds since 1970; 0 is systemd's never.
func microseconds(n uint64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(n)).UTC()
}

func firstSet(times ...time.Time) time.Time {
	for _, t := range times {
		if !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}
