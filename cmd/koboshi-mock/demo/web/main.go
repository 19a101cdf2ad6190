// Command web is the app of the demo: a small web server that is published,
// installed and started by koboshi like any other.
//
//	web restart   stop the web server that runs, start this one, and return
//	web stop      stop the web server that runs
//	web serve     be the web server
//	web get       print what a URL answers
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// version is set when a release is built.
var version = "dev"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "web:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 3 && args[0] == "restart":
		return restart(args[1], args[2])
	case len(args) == 3 && args[0] == "stop":
		return stop(args[2], args[1])
	case len(args) == 2 && args[0] == "serve":
		return serve(args[1])
	case len(args) == 2 && args[0] == "get":
		return get(args[1])
	}
	return errors.New("usage: web restart ADDRESS PIDFILE | stop ADDRESS PIDFILE | serve ADDRESS | get URL")
}

// restart replaces the running server. What it starts outlives it.
func restart(addr, pidFile string) error {
	if err := stop(pidFile, addr); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	server := exec.CommandContext(context.Background(), self, "serve", addr) //nolint:gosec // itself
	server.Stdout, server.Stderr = os.Stdout, os.Stderr
	server.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := server.Start(); err != nil {
		return err
	}
	return os.WriteFile(filepath.Clean(pidFile), []byte(strconv.Itoa(server.Process.Pid)), 0o600)
}

// stop ends the server of the pid file and waits until its address is free.
func stop(pidFile, addr string) error {
	data, err := os.ReadFile(filepath.Clean(pidFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return fmt.Errorf("%s: %w", pidFile, err)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); errors.Is(err, syscall.ESRCH) {
		return nil
	}
	for range 100 {
		listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", addr)
		if err == nil {
			return listener.Close()
		}
		<-time.After(20 * time.Millisecond)
	}
	return fmt.Errorf("the server with pid %d does not stop", pid)
}

func serve(addr string) error {
	http.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, "hello from web %s on %s\n", version, os.Getenv("KOBOSHI_INSTANCE_ID"))
	})
	http.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintln(w, "ok")
	})
	http.Handle("GET /id", &generator{})
	server := &http.Server{Addr: addr, ReadHeaderTimeout: 5 * time.Second}
	return server.ListenAndServe()
}

func get(url string) error {
	response, err := http.Get(url) //nolint:gosec,noctx // that is what it is for
	if err != nil {
		return err
	}
	_, err = io.Copy(os.Stdout, response.Body)
	return errors.Join(err, response.Body.Close())
}
