// Command app is the app that the boots deploy: a web server that reads its
// behaviour from its tree. It answers with the file VERSION, and a file with the
// name of a flaw gives it that flaw. It listens on the socket that systemd passes
// to it, else on one of its own. With LINES in its environment it writes to that log
// file, with EMIT it emits to that file, and with STUBBORN it goes on after SIGTERM.
package main

import (
	"cmp"
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	version, err := os.ReadFile("VERSION")
	if err != nil {
		return err
	}
	if has("dead") {
		return fmt.Errorf("%s is dead", strings.TrimSpace(string(version)))
	}
	stop, cancel := signal.NotifyContext(context.Background(), unix.SIGTERM)
	defer cancel()
	if os.Getenv("STUBBORN") != "" {
		stop = context.Background() // whatever it is asked
	}
	listener, err := listen()
	if err != nil {
		return err
	}
	if has("mute") { // never ready, so it never takes a request
		<-stop.Done()
		return nil
	}
	if err := ready(); err != nil {
		return err
	}
	if has("frail") {
		return fmt.Errorf("%s does not live long", strings.TrimSpace(string(version)))
	}
	if file := os.Getenv("LINES"); file != "" {
		go write(file)
	}
	if file := os.Getenv("EMIT"); file != "" {
		go emit(file)
	}
	return serve(stop, listener, handler(stop, strings.TrimSpace(string(version))))
}

// listen takes over the socket that systemd passes: sd_listen_fds(3).
func listen() (net.Listener, error) {
	const first = 3
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return new(net.ListenConfig).Listen(context.Background(), "tcp", cmp.Or(os.Getenv("ADDRESS"), "127.0.0.1:8080"))
	}
	passed := os.NewFile(first, "LISTEN_FDS")
	defer func() { _ = passed.Close() }()
	return net.FileListener(passed)
}

func handler(stop context.Context, version string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		if stop.Err() != nil {
			w.Header().Set("Connection", "close") // the next request goes to the next process
		}
		<-time.After(5 * time.Millisecond) // so that some requests are running whenever it is stopped
		_, _ = fmt.Fprintf(w, "%s on %s", version, os.Getenv("KOBOSHI_INSTANCE_ID"))
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if has("ill") {
			http.Error(w, "ill", http.StatusServiceUnavailable)
		}
	})
	return mux
}

// linger is the time for requests to arrive on accepted connections.
const linger = 500 * time.Millisecond

// serve ends at a SIGTERM in three steps. Shutdown alone is not enough: it drops
// connections that were accepted and whose request has not been read.
func serve(stop context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-stop.Done():
	}
	if err := listener.Close(); err != nil { // from here on connections wait in systemd's socket
		return err
	}
	<-time.After(linger)
	return server.Shutdown(context.Background())
}

// ready is the message that systemd expects of a service of Type=notify.
func ready() error {
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return nil
	}
	conn, err := new(net.Dialer).Dial("unixgram", strings.Replace(socket, "@", "\x00", 1)) //nolint:gosec // systemd's own
	if err != nil {
		return err
	}
	_, err = conn.Write([]byte("READY=1"))
	return err
}

// has reports whether the tree has a flaw: "ill" is never healthy, "mute" never
// ready, "dead" ends at once, and "frail" as soon as it is ready.
func has(flaw string) bool {
	_, err := os.Stat(flaw)
	return err == nil
}
