package systemd

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Notify sends assignments such as READY=1 to the service manager in one
// datagram, see sd_notify(3). Where NOTIFY_SOCKET is not set nobody wants to
// know, and Notify does nothing.
func Notify(state ...string) error {
	if len(state) == 0 {
		return nil
	}
	if _, err := daemon.SdNotify(false, strings.Join(state, "\n")); err != nil {
		return fmt.Errorf("notify systemd: %w", err)
	}
	return nil
}

// Notifier sends the notifications that a Type=notify service owes to systemd.
// Its zero value is ready to use.
type Notifier struct{}

// Ready ends the start of this unit: whatever is ordered after it may go on.
func (Notifier) Ready() error { return Notify(daemon.SdNotifyReady) }

// Watchdog proves that the process still turns; it is due within every
// WatchdogSec= once the unit is ready.
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

// ExtendTimeout asks for d from now before systemd gives up on a start or stop
// in progress. The first call must come before TimeoutStartSec= is over and
// each further one within the d before it.
func (Notifier) ExtendTimeout(d time.Duration) error {
	return Notify(fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", d.Microseconds()))
}
