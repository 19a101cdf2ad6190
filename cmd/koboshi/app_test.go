package main

import (
	"context"
	"errors"
	"fmt"
	"io"
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

// testapp is the app that the scripts deploy. Its tree determines what it does: it
// answers with the file VERSION, a file "ill" makes it unhealthy, "broken" makes
// it fail to start, and "crash" makes it print an error and die after its first
// answer.
//
//	testapp restart ADDRESS PIDFILE
//	testapp serve ADDRESS PIDFILE
//	testapp stop ADDRESS PIDFILE
func testapp() {
	var err error
	switch os.Args[1] {
	case "restart":
		err = restartApp(os.Args[2], os.Args[3])
	case "serve":
		err = serveApp(os.Args[2], os.Args[3])
	case "stop":
		stopApp(os.Args[3])
		err = waitUntilFree(os.Args[2])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "testapp:", err)
		os.Exit(1)
	}
}

func restartApp(addr, pidFile string) error {
	stopApp(pidFile)
	if exists("broken") {
		return errors.New("this release does not start")
	}
	if err := waitUntilFree(addr); err != nil {
		return err
	}
	app := exec.Command(os.Args[0], "serve", addr, pidFile)
	app.Stdout, app.Stderr = os.Stdout, os.Stderr
	app.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return app.Start()
}

func stopApp(pidFile string) {
	data, err := os.ReadFile(pidFile)
	if err != nil {
		return
	}
	if pid, err := strconv.Atoi(string(data)); err == nil && isApp(pid, pidFile) {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have died by itself
	}
}

// isApp reports whether a process is the app still: the id of one that has ended may be
// another's by now.
func isApp(pid int, pidFile string) bool {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	args := strings.Split(string(line), "\x00")
	return err == nil && len(args) > 3 && args[1] == "serve" && filepath.Base(args[3]) == filepath.Base(pidFile)
}

func waitUntilFree(addr string) error {
	for range 3000 {
		l, err := net.Listen("tcp", addr)
		if err == nil {
			return l.Close()
		}
		<-time.After(10 * time.Millisecond)
	}
	return fmt.Errorf("%s is not free", addr)
}

// serveApp can be stopped before it answers: its parent may have ended by then.
func serveApp(addr, pidFile string) error {
	if err := os.WriteFile(pidFile, []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
		return err
	}
	version, err := os.ReadFile("VERSION")
	if err != nil {
		return err
	}
	http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		if exists("ill") {
			http.Error(w, "ill", http.StatusServiceUnavailable)
		}
		if exists("crash") {
			time.AfterFunc(20*time.Millisecond, func() {
				fmt.Fprintln(os.Stderr, "\x1b[31mDATABASE_URL is not set")
				os.Exit(1)
			})
		}
	})
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(version)
	})
	return http.ListenAndServe(addr, nil)
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// ask is what the app at addr answers.
func ask(addr string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/", http.NoBody)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(response.Body)
	return strings.TrimSpace(string(body)), errors.Join(err, response.Body.Close())
}
