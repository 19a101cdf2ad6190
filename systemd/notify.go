package systemd

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Notify sends assignments such as READY=1 to the service manager in one
// datagram, see sd_notify(3). Where NOTIFY_SOCKET is not set, Notify does
// nothing.
func Notify(state ...string) error {
	if len(state) == 0 {
		return nil
	}
	if _, err := daemon.SdNotify(false, strings.Join(state, "\n")); err != nil {
		return fmt.Errorf("notify systemd: %w", err)
	}
	return nil
}

// Notifier sends the notifications that systemd expects of a Type=notify service.
// Its zero value is ready to use.
type Notifier struct{}

// Ready ends the start of this unit: units that are ordered after it may start.
func (Notifier) Ready() error { return Notify(daemon.SdNotifyReady) }

// Watchdog reports that the process still makes progress. Once the unit is
// ready, it must come at least once in every WatchdogSec=.
func (Notifier) Watchdog() error { return Notify(daemon.SdNotifyWatchdog) }

// Status shows one line in systemctl status. Control characters, a newline
// that would begin another assignment among them, become spaces.
func (Notifier) Status(text string) error {
	line := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
	return Notify("STATUS=" + line)
}

// ExtendTimeout asks systemd to wait at least d from now before it aborts a
// start or stop in progress. The first call must come before TimeoutStartSec= is
// over, and each further one within the d of the call before.
func (Notifier) ExtendTimeout(d time.Duration) error {
	return Notify(fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", d.Microseconds()))
}
