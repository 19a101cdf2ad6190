// Command app is what the boots deploy: a web server that is what its tree
// says. The file VERSION is what it answers, a file "ill" makes it unhealthy,
// and "mute" keeps it from telling systemd that it is ready.
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
)

func main() {
	version, err := os.ReadFile("VERSION")
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, "%s on %s", strings.TrimSpace(string(version)), os.Getenv("KOBOSHI_INSTANCE_ID"))
	})
	http.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if exists("ill") {
			http.Error(w, "ill", http.StatusServiceUnavailable)
		}
	})
	listener, err := net.Listen("tcp", "127.0.0.1:8080")
	if err != nil {
		log.Fatal(err)
	}
	if err := ready(); err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.Serve(listener, nil))
}

// ready is what a service of Type=notify owes to systemd.
func ready() error {
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" || exists("mute") {
		return nil
	}
	conn, err := net.Dial("unixgram", strings.Replace(socket, "@", "\x00", 1))
	if err != nil {
		return err
	}
	_, err = conn.Write([]byte("READY=1"))
	return err
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}
